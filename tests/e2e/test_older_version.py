"""Images outlive versions: clients of this version with images of an older one, and older clients with images of this.

Ranks and secrets of a key vault are what a job's own copy of this package prepares.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

import zenml_azureml
from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.contract.waiting import eventually
from tests.e2e import shared_folder_store
from tests.e2e.conftest import Project, azure_variables, made_once, zenml_variables
from tests.e2e.environments import PythonEnvironment, build_wheel, environment_without_plugin
from tests.e2e.killed import azureml, jobs_of
from tests.e2e.test_remote_server import REGISTER_STACK
from tests.e2e.test_secrets import PASSWORD, every_log
from tests.e2e.zenml_server import ZenMLServer, zenml_server
from tests.older_version import extract_older_version
from tests.vault_access import grant, own_vault, values_in
from zenml_azureml.contract.commands import NO_WATCHER
from zenml_azureml.contract.variables import STOP_CHECK_SECONDS
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

#: The newest ZenML that the older version was tested with.
NEWEST_ZENML = (0, 98)

THIS = Path(sys.executable)
PACKAGE = Path(zenml_azureml.__file__).parent

#: Two nodes of two processes each, with a secret. The settings at the top are known to both versions, those in the
#: argument to this version only.
TRAINING = """
import json, os, sys, time
from pathlib import Path
import zenml_azureml

SETTINGS = {
    "compute_target_name": "gpus",
    "secrets_via": "key-vault",
    "checkpoints": True,
    "instance_count": 2,
    "distribution": {"type": "pytorch", "process_count_per_instance": 2},
    "environment_variables": {"DATABASE_PASSWORD": sys.argv[-1], "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
}

@step(step_operator="azureml", settings={"step_operator": AzureMLStepOperatorSettings(**SETTINGS), **NO_BUILD})
def train(numbers: list[int]) -> int:
    log_metadata({"trained": True})
    names = ["RANK", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"]
    checkpoint = zenml_azureml.checkpoint_dir() / os.environ["RANK"]
    checkpoint.write_text("saved")
    left = [name for name in os.environ if name.startswith("ZENML_AZUREML_JOB_")]
    print("SEEN", json.dumps({"ranks": [os.environ[name] for name in names], "left": left,
        "package": os.path.dirname(zenml_azureml.__file__), "secret": os.environ["DATABASE_PASSWORD"][::-1]}))
    return sum(numbers) + int(os.environ["RANK"])

@step
def load() -> list[int]:
    return [1, 2, 3]

@step
def report(total: int) -> None:
    print("the total is", total)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    settings = AzureMLStepOperatorSettings(**SETTINGS, **json.loads(sys.argv[1]))
    report(train.with_options(settings={"step_operator": settings})(load()))

if __name__ == "__main__":
    print("CLIENT", os.path.dirname(zenml_azureml.__file__))
    training()
    step_run = last_run().steps["train"]
    print("REPORTED", step_run.status, step_run.run_metadata["trained"], step_run.output.load())
"""

NEW_SETTINGS = {"stop_check_seconds": 30, "max_cancel_minutes": 5}

#: The same step, whose first job waits to be preempted.
WAITING = TRAINING.replace(
    "    return sum(numbers)",
    """
    first = Path(os.environ["PYTHONPATH"].split(":")[-1]) / "first"
    if os.environ["RANK"] == "0" and not first.exists():
        first.touch()
        print("THE FIRST JOB WAITS")
        time.sleep(3600)
    return sum(numbers)""",
)


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the older version, made once for all workers."""
    if Version(version("zenml")).release[:2] > NEWEST_ZENML:
        pytest.skip("the older version does not know this version of ZenML")
    sources = tmp_path_factory.mktemp("older")
    extract_older_version(sources)
    wheels = made_once("older-wheel", lambda folder: build_wheel(folder, sources), tmp_path_factory)

    def make(folder: Path) -> None:
        environment = environment_without_plugin(folder / "environment", Path(shared_folder_store.__file__))
        (wheel,) = wheels.glob("*.whl")
        environment.install(wheel)

    folder = made_once("older-environment", make, tmp_path_factory)
    return PythonEnvironment(folder / "environment").python


@dataclass
class Team:
    """Users of one ZenML server.

    Attributes:
        server: The server, with a stack.
        variables: The environment of its clients.
        folder: A folder with the modules of the stack's flavors.
    """

    server: ZenMLServer
    variables: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A ZenML server with a stack, which all tests of this module share."""
    shared = tmp_path_factory.mktemp("team")
    with zenml_server(shared / "server", THIS) as server:
        folder = shared / "project"
        folder.mkdir()
        shutil.copy(shared_folder_store.__file__, folder)
        variables = {**zenml_variables(shared), **server.client_variables(), "PYTHONPATH": str(folder)}
        workspace = WorkspaceName()
        address = {
            "subscription_id": workspace.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace_name": workspace.name,
        }
        server.register("components", name="azureml", flavor="azureml", type="step_operator", configuration=address)
        project = Project(folder, {**variables, "AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"})
        project.succeed(REGISTER_STACK, str(shared / "artifacts"), prelude="")
        yield Team(server, variables, folder)


def with_cluster(emulator: Emulator) -> None:
    """Give an emulator a cluster of two nodes, whose jobs may read the vault to which the operator may write."""
    arm = Arm(emulator)
    body = json.loads(json.dumps(CLUSTER))
    body["properties"]["properties"]["scaleSettings"]["maxNodeCount"] = 2
    arm.call("PUT", "computes/gpus", body, api_version="2024-04-01")

    def principal() -> str | None:
        made = arm.call("GET", "computes/gpus", api_version="2024-04-01").body
        ready = made["properties"]["provisioningState"] == "Succeeded"
        return str(made["identity"]["principalId"]) if ready else None

    found = eventually(principal)
    grant(emulator, "Key Vault Secrets Officer")
    grant(emulator, "Key Vault Secrets User", found)


@pytest.mark.parametrize("direction", ["this client, older image", "older client, this image"])
def test_a_client_and_an_image_of_different_versions_run_ranks_with_secrets(
    direction: str, tmp_path: Path, team: Team, older: Path
) -> None:
    client, image = (THIS, older) if direction == "this client, older image" else (older, THIS)
    more = NEW_SETTINGS if client == THIS else {}
    with emulator_with(tmp_path, image) as emulator:
        output = project_of(tmp_path, team, emulator, client).succeed(TRAINING, json.dumps(more), PASSWORD)

        assert f"CLIENT {package_of(client)}\n" in output
        seen = {label: json.loads(words) for label, words in re.findall(r"\[(node \d rank \d)\] SEEN (.*)", output)}
        assert {label: rank["ranks"] for label, rank in seen.items()} == {
            "node 0 rank 0": ["0", "0", "0", "4"],
            "node 0 rank 1": ["1", "0", "1", "4"],
            "node 1 rank 2": ["2", "1", "0", "4"],
            "node 1 rank 3": ["3", "1", "1", "4"],
        }
        assert {rank["package"] for rank in seen.values()} == {package_of(image)}
        assert {rank["secret"] for rank in seen.values()} == {PASSWORD[::-1]}
        assert [rank["left"] for rank in seen.values()] == [[]] * 4
        assert "REPORTED completed True 6" in output
        assert "the total is 6" in output
        (job,) = jobs_of(emulator)
        assert job.status == "Completed"
        assert PASSWORD not in repr(job.properties) + every_log(emulator)
        ((_, deleted),) = own_vault(emulator).deleted.items()
        assert {"ZENML_STORE_API_TOKEN", "DATABASE_PASSWORD"} <= json.loads(deleted.versions[-1].value).keys()
        assert values_in(own_vault(emulator)) == {}
        # What the image lacks is left out, and each process says so.
        lines = re.findall(rf"\[(node \d rank \d)\] {re.escape(NO_WATCHER)}$", output, re.MULTILINE)
        assert sorted(lines) == (sorted(seen) if client == THIS else [])
        assert (STOP_CHECK_SECONDS in job.properties["environmentVariables"]) == (client == THIS)


@pytest.mark.parametrize("first", ["older", "this"])
def test_a_job_of_a_client_of_another_version_is_taken_over_and_submitted_again(
    first: str, tmp_path: Path, team: Team, older: Path
) -> None:
    """As by an orchestrator whose image has the other version."""
    submits, takes_over = (older, THIS) if first == "older" else (THIS, older)
    with emulator_with(tmp_path, older) as emulator:
        theirs = project_of(tmp_path, team, emulator, submits)
        client = theirs.start(WAITING, "{}", PASSWORD)
        eventually(lambda: "THE FIRST JOB WAITS" in every_log(emulator) or client.poll() is not None, seconds=180)
        client.send_signal(signal.SIGKILL)
        output, _ = client.communicate()
        assert "THE FIRST JOB WAITS" in every_log(emulator), output
        (job,) = jobs_of(emulator)
        ours = Project(theirs.folder, theirs.environment, python=str(takes_over))
        listed = json.loads(azureml(ours, "jobs", "list", "--json").stdout)
        assert [(one["job"], one["step"]) for one in listed] == [(job.name, "train")]

        Arm(emulator).call("POST", "/_emulator/scenario", {"name": "preempted", "now": True})
        waited = azureml(ours, "jobs", "wait", job.name, "--patience=0")

        assert waited.returncode == 0, waited.stdout + waited.stderr
        assert [(job.name, job.status) for job in jobs_of(emulator)] == [
            (job.name, "Failed"),
            (f"{job.name}-2", "Completed"),
        ]
        assert (
            team.server.get(f"steps/{job.name.removeprefix('zenml-')}", hydrate="false")["body"]["status"]
            == "completed"
        )
        assert values_in(own_vault(emulator)) == {}
        assert every_log(emulator).count("SEEN") == 8
        assert sorted(path.name for path in emulator.context.folder.rglob("checkpoints/*")) == ["0", "1", "2", "3"]


@contextmanager
def emulator_with(folder: Path, image: Path) -> Iterator[Emulator]:
    """An emulator with a cluster, whose jobs run in an image with this Python."""
    settings = Settings(compute_provisioning=0.2, job_preparation=0, job_finalization=0)
    runtime = ProcessRuntime(default_interpreter=image)
    with Emulator(folder / "emulator", runtime=runtime, settings=settings) as emulator:
        with_cluster(emulator)
        yield emulator


def project_of(folder: Path, team: Team, emulator: Emulator, python: Path) -> Project:
    """A user's project, whose clients run with this Python."""
    project = folder / "project"
    shutil.copytree(team.folder, project)
    variables = {**team.variables, **azure_variables(emulator), "PYTHONPATH": str(project)}
    return Project(project, variables, python=str(python))


def package_of(python: Path) -> str:
    """The folder of this package in an environment."""
    (folder,) = python.parents[1].glob("lib/python*/site-packages/zenml_azureml") if python != THIS else [PACKAGE]
    return str(folder)
