"""A team's ZenML server, which does not have the plugin: clients that have it register, change, run and uninstall."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import shared_folder_store
from tests.e2e.conftest import Project, azure_variables, zenml_variables
from tests.e2e.environments import PythonEnvironment, environment_without_plugin
from tests.e2e.every_key import EVERY_KEY
from tests.e2e.zenml_server import zenml_server
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

pytestmark = pytest.mark.long

TRAIN = """
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

docker = DockerSettings(skip_build=True, parent_image="example.azurecr.io/train:1")

@step
def report(answer: int) -> None:
    print("the answer is", answer)

@step(step_operator="azureml")
def train() -> int:
    return 42

@pipeline(enable_cache=False, settings={"docker": docker})
def training():
    report(train())

if __name__ == "__main__":
    print("OPERATOR", type(Client().active_stack.step_operator).__module__)
    training()
"""

OURS = "OPERATOR zenml_azureml.step_operator"
BUILT_IN = "OPERATOR zenml.integrations.azure.step_operators.azureml_step_operator"


@pytest.mark.timeout(900)
def test_a_server_without_the_plugin_serves_clients_with_it_and_without_it_again(
    tmp_path: Path, wheel: Path, without_plugin: PythonEnvironment
) -> None:
    environment = environment_without_plugin(tmp_path / "environment", Path(shared_folder_store.__file__))
    runtime = ProcessRuntime(default_interpreter=environment.python)
    settings = Settings(compute_provisioning=0, job_preparation=0)
    emulator = Emulator(tmp_path / "emulator", runtime=runtime, settings=settings, proxy_port=0, environ={})
    with emulator, zenml_server(tmp_path / "server", without_plugin.python, azure_variables(emulator)) as server:
        environment.install(wheel)
        folder = tmp_path / "project"
        folder.mkdir()
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure_variables(emulator)}
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
            del variables[name]  # only the service connector can sign in
        project = Project(folder, variables, python=str(environment.python))
        workspace = emulator.context.store.workspaces[0]

        # Register, in the spelling of ZenML's documentation; describe; update.
        cluster = "--mode=compute-cluster --compute_name=cluster --compute_size=Standard_DS3_v2 --max_instances=1"
        address = f"--subscription_id={workspace.subscription_id} --resource_group={workspace.resource_group}"
        address += f" --workspace_name={workspace.name}"
        zenml(project, f"step-operator register azureml --flavor=azureml {address} {cluster}")
        assert "Standard_DS3_v2" in zenml(project, "step-operator describe azureml")
        refused = project.zenml("step-operator", "update", "azureml", "--max_instanzes=2")
        assert refused.returncode != 0
        zenml(project, "step-operator update azureml --compute_size=Standard_DS11_v2 --max_instances=2")
        described = zenml(project, "step-operator describe azureml")
        assert "Standard_DS11_v2" in described
        assert "Standard_DS3_v2" not in described

        # A service connector: the server itself verifies it.
        zenml(
            project,
            "service-connector register principal --type azure --resource-type azure-generic "
            f"--auth-method service-principal --tenant_id={emulator.tenant_id} --client_id={emulator.client_id} "
            f"--client_secret={emulator.client_secret}",
        )
        zenml(project, "step-operator connect azureml --connector principal")

        # Stack, run.
        zenml(project, "container-registry register acr --flavor=azure --uri=example.azurecr.io")
        zenml(project, "image-builder register builder --flavor=local")
        zenml(project, "artifact-store flavor register shared_folder_store.SharedFolderFlavor")
        zenml(project, f"artifact-store register files --flavor=shared-folder --path={tmp_path / 'artifacts'}")
        zenml(project, "stack register stack -o default -a files -i builder -c acr -s azureml --set")
        output = project.succeed(TRAIN, prelude="")
        assert OURS in output
        assert "the answer is 42" in output
        made = compute(workspace, "cluster")
        assert (made["vmSize"], made["scaleSettings"]["maxNodeCount"]) == ("STANDARD_DS11_V2", 2)

        # Uninstall: the same stack, with ZenML's own step operator.
        environment.uninstall("zenml-azureml")
        assert "Standard_DS11_v2" in zenml(project, "step-operator describe azureml")
        assert "azureml" in zenml(project, "stack describe stack")
        output = project.succeed(TRAIN, prelude="")
        assert BUILT_IN in output
        assert "the answer is 42" in output
        assert [job.status for job in workspace.jobs.values()] == ["Completed", "Completed"]


@pytest.mark.timeout(600)
def test_a_component_that_others_have_stored_with_every_key_runs_unchanged(
    tmp_path: Path, without_plugin: PythonEnvironment, with_plugin: PythonEnvironment
) -> None:
    runtime = ProcessRuntime(default_interpreter=with_plugin.python)
    settings = Settings(compute_provisioning=0, job_preparation=0)
    emulator = Emulator(tmp_path / "emulator", runtime=runtime, settings=settings)
    with emulator, zenml_server(tmp_path / "server", without_plugin.python) as server:
        workspace = emulator.context.store.workspaces[0]
        configuration = {
            **EVERY_KEY,
            "subscription_id": workspace.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace_name": workspace.name,
            "tenant_id": emulator.tenant_id,
            "service_principal_id": emulator.client_id,
            "service_principal_password": emulator.client_secret,
        }
        # As Terraform's provider sends it: every value is a string.
        as_strings = {key: str(value) for key, value in configuration.items()}
        server.register("components", name="azureml", flavor="azureml", type="step_operator", configuration=as_strings)
        folder = tmp_path / "project"
        folder.mkdir()
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure_variables(emulator)}
        project = Project(folder, variables, python=str(with_plugin.python))

        project.succeed(REGISTER_STACK, str(tmp_path / "artifacts"), prelude="")
        output = project.succeed(TRAIN, prelude="")

        assert OURS in output
        assert "the answer is 42" in output
        (job,) = workspace.jobs.values()
        assert job.status == "Completed"
        assert str(job.properties["computeId"]).endswith("/computes/cpu-cluster")
        assert job.properties["resources"]["shmSize"] == "2g"
        made = compute(workspace, "cpu-cluster")
        assert (made["vmSize"], made["vmPriority"]) == ("STANDARD_DS3_V2", "LowPriority")
        scale = made["scaleSettings"]
        assert (scale["minNodeCount"], scale["maxNodeCount"]) == (0, 2)
        assert scale["nodeIdleTimeBeforeScaleDown"] == "PT2M"


REGISTER_STACK = """
import sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type

client = Client()
client.create_flavor("shared_folder_store.SharedFolderFlavor", Type.ARTIFACT_STORE)
client.create_stack_component("files", "shared-folder", Type.ARTIFACT_STORE, {"path": sys.argv[1]})
client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
client.create_stack_component("acr", "azure", Type.CONTAINER_REGISTRY, {"uri": "example.azurecr.io"})
names = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "files", Type.IMAGE_BUILDER: "builder"}
names |= {Type.CONTAINER_REGISTRY: "acr", Type.STEP_OPERATOR: "azureml"}
client.create_stack("stack", names)
client.activate_stack("stack")
"""


def compute(workspace: Workspace, name: str) -> Json:
    return workspace.computes[name].inner


def zenml(project: Project, command: str) -> str:
    """What the `zenml` command says, which has to succeed."""
    done = project.zenml(*command.split())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
