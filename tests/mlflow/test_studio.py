"""Steps that log without any tracking URI: to the job's own page in Studio."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.conftest import Project
from tests.mlflow.servers import StudioStub
from zenml_azureml.emulator import Emulator

#: What an image has with azureml-mlflow installed.
PLUGIN = Path(sys.prefix) / "azureml"

LOG = """
import mlflow

# Where the image has its packages.
settings = {"step_operator": AzureMLStepOperatorSettings(environment_variables={"PYTHONPATH": "%s"})}

@step(step_operator="azureml", settings=settings)
def train() -> None:
    mlflow.log_metric("loss", 0.5)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train()

if __name__ == "__main__":
    training()
"""


def test_metrics_are_logged_to_the_jobs_own_run_with_its_own_token(
    studio: StudioStub, jobs: Emulator, project: Project
) -> None:
    output = project.succeed(LOG % PLUGIN)

    workspace = jobs.context.store.workspaces[0]
    (job,) = workspace.jobs.values()
    logged = [request for request in studio.received if request.path.endswith("/runs/log-metric")]
    assert [(request.body["run_id"], request.body["key"], request.body["value"]) for request in logged] == [
        (job.name, "loss", 0.5)
    ]
    # azureml-mlflow's version of the API; the path is the workspace's.
    of_mlflow = [request for request in studio.received if request.path.startswith("/mlflow/")]
    assert all(request.path.startswith(f"/mlflow/v2.0{workspace.path}/api/2.0/") for request in of_mlflow)
    (authorization,) = {request.authorization for request in of_mlflow}
    assert authorization.startswith("Bearer ey")
    assert "azureml-mlflow" not in output


def test_without_the_plugin_one_line_says_what_to_install(studio: StudioStub, jobs: Emulator, project: Project) -> None:
    code, output = project.run(LOG % "")

    assert code != 0
    streamed = [line for line in output.splitlines() if line.startswith("[train]")]
    (line,) = [line for line in streamed if "azureml-mlflow" in line]
    assert "DockerSettings(requirements=['azureml-mlflow'])" in line
    assert studio.received == []
