"""Metrics of a job's run in the metadata of its step in ZenML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.conftest import Project, project_at
from zenml_azureml.emulator import Emulator, app

TRAIN = """
import sys
settings = {"step_operator": AzureMLStepOperatorSettings(metrics_as_metadata=sys.argv[1] == "copied")}

train = CommandStep(["true"], name="train", step_operator="azureml", settings=settings)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train()

if __name__ == "__main__":
    training()
    step_run = last_run().steps["train"]
    print("METRICS", step_run.status, step_run.run_metadata.get("azureml_metrics"))
"""


@pytest.fixture
def requests_of_metrics() -> list[str]:
    """The ids of the runs whose metrics were requested."""
    return []


@pytest.fixture
def with_metrics(
    tmp_path: Path,
    zenml_with_stack: Path,
    requests_of_metrics: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Project]:
    """A project on an emulator that also has a stub of MLflow's API, for a service that the emulator does not serve."""

    async def get_run(request: web.Request) -> web.Response:
        requests_of_metrics.append(request.query["run_id"])
        return web.json_response({"run": {"data": {"metrics": [{"key": "loss", "value": 0.25}]}}})

    def stub() -> list[web.RouteDef]:
        return [web.get("/mlflow/v2.0/{workspace:.*}/api/2.0/mlflow/runs/get", get_run)]

    monkeypatch.setattr(app, "_MODULES", (stub, *app._MODULES))
    with Emulator(tmp_path / "emulator") as emulator:
        yield project_at(tmp_path, zenml_with_stack, emulator)


@pytest.mark.long
def test_metrics_are_copied_if_the_setting_says_so(with_metrics: Project, requests_of_metrics: list[str]) -> None:
    assert "METRICS completed None" in with_metrics.succeed(TRAIN, "left")
    assert requests_of_metrics == []

    output = with_metrics.succeed(TRAIN, "copied")

    assert "METRICS completed {'loss': 0.25}" in output
    (run,) = requests_of_metrics
    assert run in output


def test_without_an_answer_the_step_succeeds_and_one_line_says_why(simulated_project: Project) -> None:
    output = simulated_project.succeed(TRAIN, "copied")  # the emulator does not serve MLflow's API

    assert "METRICS completed None" in output
    (line,) = [line for line in output.splitlines() if "Could not read the metrics of step `train`: " in line]
    assert "is not emulated" in line
