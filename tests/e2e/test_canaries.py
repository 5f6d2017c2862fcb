"""A secret, put into every place of the settings, is in nothing but the key vault that this package writes or sends."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.e2e.canaries import DOCKER_FORMS, every_place
from tests.e2e.conftest import PRELUDE, Project
from tests.e2e.test_secrets import Heard
from tests.vault_access import grant, own_vault
from zenml_azureml.emulator import Emulator

# Sixty pipelines one after the other, with all logs.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

#: The places from which a value travels by the vault; at all others it is refused, or never sent.
BY_VAULT = {
    *("environment_variables.a", "docker_args: a list"),
    *(f"docker_args: {form}" for form in DOCKER_FORMS if re.fullmatch(r"(-\w*e|--env).*A=\{\}", form)),
}

EVERYWHERE = """
import json, logging, sys, traceback
from pathlib import Path
from click.testing import CliRunner
from zenml_azureml.cli.spec import spec

sys.modules["script"] = sys.modules["__main__"]  # `spec` imports it, which must not run all of this again
logging.getLogger().setLevel(logging.DEBUG)
given = json.loads(Path("places.json").read_text())
if given["secrets"]:
    Client().create_secret("canaries", values=given["secrets"])

@step(step_operator="azureml")
def work() -> None: ...

def pipeline_with(settings):
    @pipeline(enable_cache=False, settings=NO_BUILD)
    def everywhere():
        work.with_options(settings={"step_operator": settings})()
    return everywhere

def print_spec():
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)]
    streams = [one.stream for one in handlers]
    print(CliRunner().invoke(spec, ["script:everywhere.work"]).output)
    for handler, stream in zip(handlers, streams):  # `spec` logs to its own stderr, which has ended
        handler.setStream(stream)

for number, (where, values) in enumerate(given["places"].items()):
    print("PLACE", where, flush=True)
    try:
        settings = AzureMLStepOperatorSettings(**{"compute_target_name": "gpus", "secrets_via": given["via"], **values})
        print(repr(settings), str(settings))
        everywhere = pipeline_with(settings)
        try:
            everywhere()
        finally:
            globals()["everywhere"] = everywhere
            print_spec()
    except BaseException:
        traceback.print_exc()
"""


@pytest.fixture
def heard(emulator: Emulator) -> Heard:
    """What comes to an emulator whose jobs on a cluster may read the vault, where the operator may write."""
    arm = Arm(emulator)
    arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
    principal = arm.call("GET", "computes/gpus", api_version="2024-04-01").body["identity"]["principalId"]
    grant(emulator, "Key Vault Secrets Officer")
    grant(emulator, "Key Vault Secrets User", principal)
    heard = Heard()
    emulator.context.on_request = heard.note
    return heard


def run_everywhere(project: Project, canaries: dict[str, str], *, as_references: bool) -> str:
    """Run a step for each place, with its canary there; everything that is printed, logs at DEBUG among it."""
    fills = every_place()
    keys = {where: f"k{number}" for number, where in enumerate(canaries)}
    places = {
        where: fills[where]("{{canaries." + keys[where] + "}}" if as_references else canary)
        for where, canary in canaries.items()
    }
    secrets = {keys[where]: canary for where, canary in canaries.items()} if as_references else {}
    given = {"places": places, "secrets": secrets, "via": "key-vault"}
    (project.folder / "places.json").write_text(json.dumps(given))
    temporary = project.folder.parent / "tmp"
    temporary.mkdir()
    project.environment["TMPDIR"] = str(temporary)
    project.environment["ZENML_LOGGING_VERBOSITY"] = "DEBUG"
    process = project.start(EVERYWHERE, prelude=PRELUDE)
    output, _ = process.communicate(timeout=570)
    assert process.wait() == 0, output[-3000:]
    # ZenML logs settings at DEBUG as they are written, in its own model, which is not this package's doing.
    return re.sub(r"^.*\| zenml\.[\w.]+:.*\n|^.*\bBaseSettings\(.*\n", "", output, flags=re.MULTILINE)


def files_with(folder: Path, text: str, *, but: tuple[str, ...]) -> list[str]:
    """The files in a folder that hold a text; of databases, the tables that do."""
    found = []
    for path in folder.rglob("*"):
        relative = str(path.relative_to(folder))
        if not path.is_file() or relative.startswith(but):
            continue
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as database:
                found += [f"{relative}: {line[:80]}" for line in database.iterdump() if text in line]
        elif text.encode() in path.read_bytes():
            found.append(relative)
    return found


def test_a_secret_is_nowhere_but_in_the_vault_wherever_it_stands_in_the_settings(
    simulated_project: Project, emulator: Emulator, heard: Heard
) -> None:
    canaries = {where: f"ghp_{number:03}a7Q9xk2mP4vT8zB6cD1eF3gH5jK7mN9" for number, where in enumerate(every_place())}

    output = run_everywhere(simulated_project, canaries, as_references=False)

    check(output, canaries, emulator, heard)
    for where, canary in canaries.items():
        # ZenML keeps settings as they are written, and says nothing of it: the warning does.
        assert files_with(simulated_project.folder.parent, canary, but=("zenml", "project", "emulator")) == [], where
    assert output.count("ZenML stores settings in clear text, and these hold a secret") >= 1


def test_a_reference_to_a_secret_reaches_the_vault_and_no_file_nor_zenmls_database(
    simulated_project: Project, emulator: Emulator, heard: Heard
) -> None:
    canaries = {where: f"canary {number:03} in a coal mine" for number, where in enumerate(every_place())}

    output = run_everywhere(simulated_project, canaries, as_references=True)

    check(output, canaries, emulator, heard)
    assert "ZenML stores settings in clear text" not in output
    for where, canary in canaries.items():
        # In ZenML's database the secret itself is, as ZenML keeps secrets; the settings and all else must not have it.
        assert files_with(simulated_project.folder.parent, canary, but=("project", "emulator")) == [], where


def check(output: str, canaries: dict[str, str], emulator: Emulator, heard: Heard) -> None:
    """Look for the canaries in all that was printed and sent."""
    assert output.count("PLACE ") == len(canaries)
    in_vault = "".join(
        version.value
        for versions in [
            *own_vault(emulator).secrets.values(),
            *(d.versions for d in own_vault(emulator).deleted.values()),
        ]
        for version in versions
    )
    leaks = [f"{where}: {near(output, canary)}" for where, canary in canaries.items() if canary in output]
    assert not leaks, "\n".join(leaks)
    for where, canary in canaries.items():
        wrote = {(method, path.partition("/")[2].split("/")[0]) for method, path in heard.with_text(canary)}
        assert wrote <= {("PUT", "secrets")}, where
    assert {where for where, canary in canaries.items() if canary in in_vault} == BY_VAULT


def near(text: str, canary: str) -> str:
    """What stands around a canary."""
    position = text.index(canary)
    return text[max(0, position - 300) : position + 100]
