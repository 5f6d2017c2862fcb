"""Steps that log without any tracking URI: to the job's own page in Studio."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

#: What an image has with azureml-mlflow installed.
PLUGIN = Path(sys.prefix) / "azureml"

LOG = """
import mlflow

# Where the image has its packages.
settings = {"step_operator": AzureMLStepOperatorSettings(
    environment_variables={"PYTHONPATH": "%s"}, metrics_as_metadata=%s
)}

@step(step_operator="azureml", settings=settings)
def train() -> None:
    mlflow.log_metric("loss", 0.5)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train()

if __name__ == "__main__":
    training()
    print("METRICS", last_run().steps["train"].run_metadata.get("azureml_metrics"))
"""


@pytest.fixture
def asked(jobs: Emulator) -> list[str]:
    """The paths of the requests to MLflow's API."""
    found: list[str] = []

    def note(_method: str, path: str, _body: bytes) -> None:
        if path.startswith("/mlflow/"):
            found.append(path)

    jobs.context.on_request = note
    return found


def test_metrics_are_logged_to_the_jobs_own_run_and_read_there(
    jobs: Emulator, project: Project, asked: list[str]
) -> None:
    output = project.succeed(LOG % (PLUGIN, True))

    assert "METRICS {'loss': 0.5}" in output
    # azureml-mlflow's version of the API; the path is the workspace's.
    workspace = jobs.context.store.workspaces[0]
    assert all(path.startswith(f"/mlflow/v2.0{workspace.path}/") for path in asked)
    assert any(path.endswith("/api/2.0/mlflow/runs/log-metric") for path in asked)
    assert "azureml-mlflow" not in output


def test_without_the_plugin_one_line_says_what_to_install(project: Project, asked: list[str]) -> None:
    code, output = project.run(LOG % ("", False))

    assert code != 0
    streamed = [line for line in output.splitlines() if line.startswith("[train]")]
    (line,) = [line for line in streamed if "azureml-mlflow" in line]
    assert "DockerSettings(requirements=['azureml-mlflow'])" in line
    assert asked == []
