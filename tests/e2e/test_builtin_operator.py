"""ZenML's own Azure ML step operator, unmodified, on the emulator: a client that nobody here wrote.

It demands a ZenML server, an artifact store and a container registry that are not local.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e import shared_folder_store
from tests.e2e.conftest import Project, azure_variables, zenml_variables
from tests.e2e.environments import PythonEnvironment, environment_without_plugin
from tests.e2e.every_key import AS_DOCUMENTED, EVERY_KEY
from tests.e2e.zenml_server import zenml_server
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

pytestmark = pytest.mark.long

REGISTER = """
import sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type

store, subscription, group, workspace = sys.argv[1:]
client = Client()
client.create_flavor("shared_folder_store.SharedFolderFlavor", Type.ARTIFACT_STORE)
client.create_stack_component("files", "shared-folder", Type.ARTIFACT_STORE, {"path": store})
client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, {"uri": "example.azurecr.io"})
address = {"subscription_id": subscription, "resource_group": group, "workspace_name": workspace}
client.create_stack_component("azureml", "azureml", Type.STEP_OPERATOR, address)
names = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "files", Type.IMAGE_BUILDER: "builder"}
names |= {Type.CONTAINER_REGISTRY: "registry", Type.STEP_OPERATOR: "azureml"}
client.create_stack("stack", names)
client.activate_stack("stack")
"""

REGISTER_EVERY_KEY = """
import json, sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type

client = Client()
client.create_stack_component("everything", "azureml", Type.STEP_OPERATOR, json.loads(sys.argv[1]))
print(json.dumps(client.get_stack_component(Type.STEP_OPERATOR, "everything").configuration))
"""

TRAIN = """
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

@step(step_operator="azureml")
def train() -> int:
    import sys
    print("trained with", sys.executable)
    return 42

@step
def report(answer: int) -> None:
    print("the answer is", answer)

docker = DockerSettings(skip_build=True, parent_image="example.azurecr.io/train:1")

@pipeline(enable_cache=False, settings={"docker": docker})
def training():
    report(train())

if __name__ == "__main__":
    print("OPERATOR", type(Client().active_stack.step_operator).__module__)
    print("LOCAL SERVER", Client().zen_store.is_local_store())
    training()
"""


def test_the_built_in_operator_and_then_this_one_run_a_step_on_the_emulator(
    tmp_path: Path, wheel: Path, without_plugin: PythonEnvironment
) -> None:
    environment = environment_without_plugin(tmp_path / "environment", Path(shared_folder_store.__file__))
    runtime = ProcessRuntime(default_interpreter=environment.python)
    folder = tmp_path / "project"
    folder.mkdir()
    with (
        Emulator(tmp_path / "emulator", runtime=runtime, settings=Settings(job_preparation=0)) as emulator,
        zenml_server(tmp_path / "server", without_plugin.python) as server,
    ):
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure_variables(emulator)}
        project = Project(folder, variables, python=str(environment.python))
        workspace = emulator.context.store.workspaces[0]
        address = (workspace.subscription_id, workspace.resource_group, workspace.name)
        project.succeed(REGISTER, str(tmp_path / "artifacts"), *address, prelude="")

        output = project.succeed(TRAIN, prelude="")

        assert "OPERATOR zenml.integrations.azure.step_operators.azureml_step_operator" in output
        assert "LOCAL SERVER False" in output
        assert "the answer is 42" in output
        (theirs,) = workspace.jobs.values()
        assert theirs.status == "Completed"
        assert f"trained with {environment.python}" in log_source(theirs)

        environment.install(wheel)
        # The server has no plugin: it accepts what it knows, and keeps it under the names that it knows.
        stored = project.succeed(REGISTER_EVERY_KEY, json.dumps(AS_DOCUMENTED), prelude="")
        assert json.loads(stored.splitlines()[-1]) == EVERY_KEY
        output = project.succeed(TRAIN, prelude="")

        assert "OPERATOR zenml_azureml.step_operator" in output
        assert "the answer is 42" in output
        assert f"[train] trained with {environment.python}" in output
        assert [job.status for job in workspace.jobs.values()] == ["Completed", "Completed"]
        (ours,) = (job for job in workspace.jobs.values() if job is not theirs)
        tags = ours.properties["tags"]
        assert tags["zenml_run_url"].startswith(variables["ZENML_STORE_URL"])
        assert tags["zenml_run_url"].endswith(f"/runs/{tags['zenml_run_id']}")


def test_a_job_that_the_built_in_submitted_says_so_in_an_image_with_this_package(
    tmp_path: Path, without_plugin: PythonEnvironment, with_plugin: PythonEnvironment
) -> None:
    """As when a server's runner, or an orchestrator, has an image without this package."""
    folder = tmp_path / "project"
    folder.mkdir()
    runtime = ProcessRuntime(default_interpreter=with_plugin.python)
    with (
        Emulator(tmp_path / "emulator", runtime=runtime, settings=Settings(job_preparation=0)) as emulator,
        zenml_server(tmp_path / "server", without_plugin.python) as server,
    ):
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure_variables(emulator)}
        runner = Project(folder, variables, python=str(without_plugin.python))
        workspace = emulator.context.store.workspaces[0]
        address = (workspace.subscription_id, workspace.resource_group, workspace.name)
        runner.succeed(REGISTER, str(tmp_path / "artifacts"), *address, prelude="")

        runner.succeed(TRAIN, prelude="")

        (theirs,) = workspace.jobs.values()
        assert log_source(theirs).count("submitted by ZenML's built-in step operator") == 1

        # The same server, still without this package: the submitting process decides.
        output = Project(folder, variables, python=str(with_plugin.python)).succeed(TRAIN, prelude="")

        assert "OPERATOR zenml_azureml.step_operator" in output
        (ours,) = (job for job in workspace.jobs.values() if job is not theirs)
        assert ours.status == "Completed"
        assert "built-in" not in log_source(ours)


def log_source(job: Job) -> str:
    return (job.log_folder / "std_log.txt").read_text()
