"""ZenML's own Azure ML orchestrator on the emulator: a static pipeline with a step of our operator, to its end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e import shared_folder_store
from tests.e2e.conftest import Project, azure_variables, zenml_variables
from tests.e2e.warm_jobs import WarmJobs
from tests.e2e.zenml_server import zenml_server
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.context import Settings

REGISTER = """
import sys
from shared_folder_store import SharedFolderFlavor
from zenml.client import Client
from zenml.enums import StackComponentType as Type

store, subscription, group, workspace = sys.argv[1:]
client = Client()
client.create_flavor("shared_folder_store.SharedFolderFlavor", Type.ARTIFACT_STORE)
client.create_stack_component("files", "shared-folder", Type.ARTIFACT_STORE, {"path": store})
client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, {"uri": "example.azurecr.io"})
place = {"subscription_id": subscription, "resource_group": group}
client.create_stack_component("pipelines", "azureml", Type.ORCHESTRATOR, {**place, "workspace": workspace})
client.create_stack_component("azureml", "azureml", Type.STEP_OPERATOR, {**place, "workspace_name": workspace})
names = {Type.ORCHESTRATOR: "pipelines", Type.ARTIFACT_STORE: "files", Type.IMAGE_BUILDER: "builder"}
names |= {Type.CONTAINER_REGISTRY: "registry", Type.STEP_OPERATOR: "azureml"}
client.create_stack("stack", names)
client.activate_stack("stack")
"""

PIPELINE = """
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

docker = DockerSettings(skip_build=True, parent_image="example.azurecr.io/train:1")

@step
def load() -> int:
    print("load is at work")
    return 20

@step(step_operator="azureml")
def train(number: int) -> int:
    print("train is at work")
    return number + 1

@step
def check(number: int) -> int:
    return number * 2

@pipeline(enable_cache=False, settings={"docker": docker})
def training():
    check(train(load()))

if __name__ == "__main__":
    try:
        training()
    except Exception as error:
        print("RAISED", type(error).__name__)
    run = Client().list_pipeline_runs(size=1, sort_by="desc:created", hydrate=True)[0]
    print("STATUSES", run.status, sorted((name, str(s.status)) for name, s in run.steps.items()))
    if run.status == "completed":
        print("RESULT", run.steps["check"].output.load())
"""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_static_pipeline_runs_with_a_step_of_our_operator_to_its_end(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "shared_folder_store.py").write_text(Path(str(shared_folder_store.__file__)).read_text())
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)

    def image(python: Path) -> Path:
        """As that of a user, which has the module of the artifact store, and what signs the steps in."""
        exports = [f"export {name}='{value}'" for name, value in azure.items()]
        # What is there gives the job an /app of its own.
        exports.append(f"export PYTHONPATH='{folder}':$PYTHONPATH")
        program = tmp_path / f"python-of-{python.parents[1].name}"
        program.write_text("\n".join(["#!/bin/sh", *exports, f'exec {python} "$@"', ""]))
        program.chmod(0o755)
        return program

    emulator = Emulator(tmp_path / "emulator", runtime=WarmJobs(image), settings=settings)
    with emulator as jobs, zenml_server(tmp_path / "server", Path(sys.executable)) as server:
        azure = azure_variables(jobs)
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure, "PYTHONPATH": str(folder)}
        project = Project(folder, variables)
        place = WorkspaceName()
        project.succeed(
            REGISTER, str(tmp_path / "artifacts"), place.subscription_id, place.resource_group, place.name, prelude=""
        )
        output = project.succeed(PIPELINE, prelude="")

        assert "STATUSES completed [('check', 'completed'), ('load', 'completed'), ('train', 'completed')]" in output, (
            output
        )
        assert "RESULT 42" in output
        workspace = jobs.context.store.workspaces[0]
        (pipeline,) = [job for job in workspace.jobs.values() if job.properties["jobType"] == "Pipeline"]
        nodes = [job for job in workspace.jobs.values() if job.properties["parentJobName"] == pipeline.name]
        assert [job.status for job in nodes] == ["Completed"] * 3
        (ours,) = [job for job in workspace.jobs.values() if "zenml_step" in job.properties["tags"]]
        assert (ours.properties["tags"]["zenml_step"], ours.status) == ("train", "Completed")
        assert "train is at work" in (ours.log_folder / "std_log.txt").read_text()
