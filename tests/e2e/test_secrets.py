"""Secrets that are in no job's definition: through `zenml`, with a server, real jobs and a key vault."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.contract.waiting import eventually
from tests.e2e import shared_folder_store
from tests.e2e.conftest import Project, azure_variables, zenml_variables
from tests.e2e.killed import azureml
from tests.e2e.test_remote_server import REGISTER_STACK
from tests.e2e.zenml_server import zenml_server
from tests.vault_access import grant, own_vault, values_in
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

pytestmark = pytest.mark.long


@pytest.fixture
def runtime_of_jobs() -> Runtime:
    """What a secret is kept out of is that of a Python of its own."""
    return ProcessRuntime()


READ_THEM = """
import os, sys
from pathlib import Path
from zenml_azureml.contract import variables

VAULT = AzureMLStepOperatorSettings(
    compute_target_name="gpus",
    secrets_via="key-vault",
    environment_variables={"DATABASE_PASSWORD": sys.argv[-1], "EPOCHS": "3"},
)
SETTINGS = {"step_operator": VAULT, **NO_BUILD}

@step(step_operator="azureml", settings=SETTINGS)
def read_them() -> str:
    told = " ".join(Path("/proc/self/cmdline").read_text().split("\\0"))
    print("COMMAND LINE", told)
    assert not [name for name in os.environ if name.startswith(variables.PREFIX)]
    assert "ZENML_AZUREML" not in told
    return os.environ["DATABASE_PASSWORD"][::-1] + os.environ["EPOCHS"]

@pipeline(enable_cache=False)
def reading():
    read_them()

if __name__ == "__main__":
    reading()
    run = last_run()
    print("STATUS", run.status, dict(run.steps["read_them"].run_metadata).get("azureml_vault_secret"))
    print("RETURNED", run.steps["read_them"].output.load())
"""

PASSWORD = "swordfish-4711"


@dataclass
class Heard:
    """All that an emulator was sent: method, path and body."""

    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, method: str, path: str, body: bytes) -> None:
        self.requests.append((method, path, body.decode(errors="replace")))

    def with_text(self, text: str) -> list[tuple[str, str]]:
        """Which requests had a text anywhere."""
        return [(method, path) for method, path, body in self.requests if text in path or text in body]


@pytest.fixture
def heard(jobs: Emulator) -> Heard:
    """What comes to an emulator with a cluster whose jobs may read the vault, where the operator may write."""
    arm = Arm(jobs)
    arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
    found = eventually(
        lambda: (
            (body := arm.call("GET", "computes/gpus", api_version="2024-04-01").body)["properties"]["provisioningState"]
            == "Succeeded"
            and body
        )
    )
    grant(jobs, "Key Vault Secrets Officer")
    grant(jobs, "Key Vault Secrets User", found["identity"]["principalId"])
    heard = Heard()
    jobs.context.on_request = heard.note
    return heard


@pytest.fixture
def served_project(tmp_path: Path, jobs: Emulator) -> Iterator[Project]:
    """A project whose ZenML is a server, so that jobs are given a token for it."""
    with zenml_server(tmp_path / "server", Path(sys.executable)) as server:
        folder = tmp_path / "project"
        folder.mkdir()
        store = Path(shared_folder_store.__file__)
        (folder / store.name).write_text(store.read_text())
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure_variables(jobs)}
        project = Project(folder, {**variables, "PYTHONPATH": str(folder)})
        workspace = jobs.context.store.workspaces[0]
        address = {
            "subscription_id": workspace.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace_name": workspace.name,
        }
        server.register("components", name="azureml", flavor="azureml", type="step_operator", configuration=address)
        project.succeed(REGISTER_STACK, str(tmp_path / "artifacts"), prelude="")
        yield project


def test_secrets_are_only_in_the_vault_and_in_the_environment_of_the_step(
    served_project: Project, jobs: Emulator, heard: Heard
) -> None:
    script = READ_THEM.replace(
        'environment_variables={"', f'environment_variables={{"PYTHONPATH": {str(served_project.folder)!r}, "'
    )
    output = served_project.succeed(script, PASSWORD)

    vault = own_vault(jobs)
    assert f"RETURNED {PASSWORD[::-1]}3" in output
    assert "COMMAND LINE" in output
    # All that was secret went to the vault, was there once, and is there no more.
    assert values_in(vault) == {}
    ((name, deleted),) = vault.deleted.items()
    secrets = json.loads(deleted.versions[-1].value)
    assert {"ZENML_STORE_API_TOKEN", "DATABASE_PASSWORD"} <= set(secrets)
    assert len(secrets["ZENML_STORE_API_TOKEN"]) > 50
    assert f"STATUS completed {vault.address}/secrets/{name}" in output
    # As it was sent, it can be seen again.
    shown = azureml(served_project, "spec", name).stdout
    assert "# In the key vault instead of the job: " in shown
    told, (job,) = yaml.safe_load(shown), jobs.context.store.workspaces[0].jobs.values()
    assert told["environment_variables"].keys() == job.properties["environmentVariables"].keys()
    assert told["tags"]["zenml_vault_secret"] == f"{vault.address}/secrets/{name}"
    assert told["command"] == job.properties["command"]
    for secret in (PASSWORD, secrets["ZENML_STORE_API_TOKEN"]):
        wrote = heard.with_text(secret)
        assert [(method, path.partition("?")[0]) for method, path in wrote] == [("PUT", f"/secrets/{name}")]
        assert secret not in output
        assert secret not in every_log(jobs)
        assert not holds(jobs.context.store.workspaces[0], secret)
    # The job was one, with an environment, and both were looked at.
    put = {path.split("/")[-2] for method, path, _ in heard.requests if method == "PUT"}
    assert {"jobs", "versions"} <= put


def test_a_job_of_the_doctor_gets_its_token_by_the_vault_and_reads_the_stack_with_it(
    served_project: Project, jobs: Emulator, heard: Heard
) -> None:
    changed = served_project.zenml("step-operator", "update", "azureml", "--compute_target_name=gpus")
    assert changed.returncode == 0, changed.stderr

    done = azureml(served_project, "doctor", "--run-job", "--yes", "--json", "--image", "example.azurecr.io/train:1")

    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)
    found = {one["check"]: one for one in report["checks"]}
    # The token opens the stack, whose artifact store has a flavor in code of the user's: only steps download that.
    assert {check for check, one in found.items() if one["status"] != "ok"} == {"artifact store"}
    assert found["artifact store"]["status"] == "unknown"
    assert "No module named 'shared_folder_store'" in found["artifact store"]["found"]
    assert found["ZenML server"]["found"].endswith("answers, and accepts the job's token")
    vault = own_vault(jobs)
    assert values_in(vault) == {}
    ((_, deleted),) = vault.deleted.items()
    token = json.loads(deleted.versions[-1].value)["ZENML_STORE_API_TOKEN"]
    assert [method for method, _ in heard.with_text(token)] == ["PUT"]
    assert token not in every_log(jobs)


def test_a_failing_step_leaves_no_secret_and_tells_none(project: Project, heard: Heard, jobs: Emulator) -> None:
    code, output = project.run(READ_THEM.replace("return os", "raise ValueError('no')\n    return os"), PASSWORD)

    assert code == 1
    assert "ValueError: no" in output
    assert values_in(own_vault(jobs)) == {}
    assert len(own_vault(jobs).deleted) == 1
    assert PASSWORD not in output + every_log(jobs)


def test_a_job_that_cannot_read_its_secrets_says_what_to_do(project: Project, heard: Heard, jobs: Emulator) -> None:
    body = {"error": {"code": "Forbidden", "message": "Not\nyou."}}
    fault = {"path": "^/secrets/", "method": "GET", "status": 403, "body": body}
    Arm(jobs).call("POST", "/_emulator/faults", fault)

    code, output = project.run(READ_THEM, PASSWORD)

    assert code == 1
    assert "its secrets could not be read from the key vault" in output
    assert "403 (Forbidden) Not you." in output
    assert "Key Vault Secrets User" in output
    assert "Traceback" not in every_log(jobs)
    assert values_in(own_vault(jobs)) == {}


def test_a_step_that_is_preempted_has_its_secrets_again(project: Project, heard: Heard, jobs: Emulator) -> None:
    Arm(jobs).call("POST", "/_emulator/scenario", {"name": "preempted", "after": 0.1})

    output = project.succeed(READ_THEM, PASSWORD)

    assert f"RETURNED {PASSWORD[::-1]}3" in output
    definitions = [job.properties for job in jobs.context.store.workspaces[0].jobs.values()]
    assert [job["command"].count("zenml_azureml.in_job") for job in definitions] == [1, 1]
    assert len({job["environmentVariables"]["ZENML_AZUREML_JOB_VAULT_SECRET"] for job in definitions}) == 2
    assert PASSWORD not in repr(definitions)
    assert values_in(own_vault(jobs)) == {}
    assert len(own_vault(jobs).deleted) == 2


def test_a_missing_role_is_an_error_before_the_job_is_submitted(project: Project, jobs: Emulator) -> None:
    arm = Arm(jobs)
    arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")

    code, output = project.run(READ_THEM, PASSWORD)

    assert code == 1
    assert 'az role assignment create --role "Key Vault Secrets User"' in output
    assert PASSWORD not in output
    assert jobs.context.store.workspaces[0].jobs == {}


@pytest.mark.parametrize("how", ["--run", "--orphans"])
def test_what_is_left_by_a_kill_between_writing_and_submitting_is_found_and_deleted(
    how: str, project: Project, heard: Heard, jobs: Emulator
) -> None:
    arm, vault = Arm(jobs), own_vault(jobs)
    arm.call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 3600, "status": 503})
    client = project.start(READ_THEM, PASSWORD)
    eventually(lambda: any(method == "PUT" and "/jobs/" in path for method, path, _ in heard.requests), seconds=120)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    assert len(values_in(vault)) == 1
    assert jobs.context.store.workspaces[0].jobs == {}
    (secret,) = vault.secrets.values()

    if how == "--orphans":
        # Its step run is still running, for all that anybody knows: the process might be about to submit the job.
        assert "Deleted" not in azureml(project, "jobs", "cancel", "--orphans", "--yes").stdout
        assert len(values_in(vault)) == 1
        secret[-1].created -= 3 * 3600
        cleaned = azureml(project, "jobs", "cancel", "--orphans", "--yes")
    else:
        cleaned = azureml(project, "jobs", "cancel", "--run", secret[-1].tags["zenml_run"], "--yes")

    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    assert f"Deleted the secret {vault.address}/secrets/" in cleaned.stdout
    assert values_in(vault) == {}


def test_the_secret_of_a_job_that_is_cancelled_by_hand_goes_with_it(
    project: Project, heard: Heard, jobs: Emulator
) -> None:
    sleeping = READ_THEM.replace("return os", "import time; time.sleep(3600)\n    return os")
    client = project.start(sleeping, PASSWORD)
    (job,) = eventually(lambda: list(jobs.context.store.workspaces[0].jobs.values()), seconds=120)
    eventually(lambda: "COMMAND LINE" in every_log(jobs), seconds=120)
    client.send_signal(signal.SIGKILL)
    client.communicate()

    cancelled = azureml(project, "jobs", "cancel", job.name, "--yes")

    assert cancelled.returncode == 0, cancelled.stderr
    assert values_in(own_vault(jobs)) == {}


def every_log(emulator: Emulator) -> str:
    """What all jobs have logged."""
    return "".join(log.read_text() for log in (emulator.context.folder / "jobs").rglob("std_log*.txt"))


def holds(workspace: object, text: str) -> bool:
    """Whether a text is anywhere in what the workspace holds."""
    return text in repr(vars(workspace))


REFER_TO_THEM = """
import os, sys

SETTINGS = AzureMLStepOperatorSettings(
    compute_target_name="gpus",
    secrets_via="key-vault",
    environment_variables={"DATABASE_PASSWORD": "{{database.password}}", "EPOCHS": "{{ database.epochs }}"},
    docker_args="--ipc=host -ite 'FROM_DOCKER={{ database.password }}'",
)

@step(step_operator="azureml", settings={"step_operator": SETTINGS, **NO_BUILD})
def read_them() -> str:
    return os.environ["DATABASE_PASSWORD"][::-1] + os.environ["EPOCHS"] + os.environ["FROM_DOCKER"][::-1]

@pipeline(enable_cache=False)
def reading():
    read_them()

if __name__ == "__main__":
    Client().create_secret("database", values={"password": sys.argv[-1], "epochs": "3"})
    reading()
    print("RETURNED", last_run().steps["read_them"].output.load())
"""


def test_references_reach_the_step_again_after_a_preemption_and_no_definition(
    project: Project, heard: Heard, jobs: Emulator
) -> None:
    Arm(jobs).call("POST", "/_emulator/scenario", {"name": "preempted", "after": 0.1})

    output = project.succeed(REFER_TO_THEM, PASSWORD)

    assert f"RETURNED {PASSWORD[::-1]}3{PASSWORD[::-1]}" in output
    definitions = [job.properties for job in jobs.context.store.workspaces[0].jobs.values()]
    assert len(definitions) == 2
    for definition in definitions:
        # What a secret of ZenML gives is secret, also a number.
        assert not {"DATABASE_PASSWORD", "EPOCHS", "FROM_DOCKER"} & definition["environmentVariables"].keys()
        assert definition["resources"]["dockerArgs"] == "--ipc=host -it"
    assert PASSWORD not in repr(definitions) + output
    assert {method for method, _ in heard.with_text(PASSWORD)} == {"PUT"}
    assert {path.split("/")[1] for _, path in heard.with_text(PASSWORD)} == {"secrets"}
    with closing(sqlite3.connect(next((project.folder.parent / "zenml").rglob("*.db")))) as database:
        stored = "\n".join(database.iterdump())
    assert "{{database.password}}" in stored
    assert PASSWORD not in stored


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("{{nothing.here}}", "There is no ZenML secret `nothing`, to which `environment_variables['A']` refers."),
        ("{{database.here}}", "The ZenML secret `database` has no key `here`"),
    ],
)
def test_a_secret_that_is_missing_fails_the_step_before_anything_is_sent(
    reference: str, says: str, project: Project, heard: Heard, jobs: Emulator
) -> None:
    missing = REFER_TO_THEM.replace('"EPOCHS": "{{ database.epochs }}"', f'"A": "{reference}"')

    code, output = project.run(missing, PASSWORD)

    assert code == 1
    assert says in output
    assert "zenml secret " in output
    assert PASSWORD not in output
    assert jobs.context.store.workspaces[0].jobs == {}


def test_a_secret_in_clear_text_is_named_in_one_warning(project: Project, heard: Heard) -> None:
    output = project.succeed(READ_THEM, PASSWORD)

    warning = (
        "ZenML stores settings in clear text, and these hold a secret: `environment_variables['DATABASE_PASSWORD']`"
    )
    assert output.count(warning) == 1
