"""Nested pipelines: a run whose parent was stopped is stopped too."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Project
from tests.e2e.killed import ask, jobs_of, read_until
from zenml_azureml.emulator import Emulator

NESTED = """
import sys

DYNAMIC = {"dynamic": True, "enable_cache": False, "settings": NO_BUILD}

sleeper = CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml")

@pipeline(depends_on=[sleeper], **DYNAMIC)
def child():
    sleeper()

@pipeline(depends_on=[sleeper], **DYNAMIC)
def parent():
    child()

@pipeline(depends_on=[sleeper], **DYNAMIC)
def grandparent():
    parent()

if __name__ == "__main__":
    globals()[sys.argv[1]]()
"""

RUNS = """
for run in Client().list_pipeline_runs(sort_by="asc:created", hydrate=True):
    print("RUN", run.pipeline.name, run.status, run.id)
"""


@pytest.mark.parametrize(
    ("outermost", "stopped"),
    [
        ("parent", "parent"),
        ("grandparent", "grandparent"),
        pytest.param("grandparent", "parent", marks=pytest.mark.long),
    ],
)
def test_stopping_a_parent_run_ends_the_job_of_its_child_run(
    outermost: str, stopped: str, simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 3600
    simulated_project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "0.5"
    client = simulated_project.start(NESTED, outermost)
    read_until(client, "[sleeper] simulated line")
    runs = {line.split()[1]: line.split()[3] for line in ask(simulated_project, RUNS).splitlines() if "RUN " in line}

    done = simulated_project.zenml("pipeline", "runs", "stop", runs[stopped], "--graceful", "--yes")
    assert done.returncode == 0, done.stderr

    output, _ = client.communicate(timeout=120)
    assert [job.status for job in jobs_of(emulator)] == ["Canceled"], output
    told = ask(simulated_project, RUNS)
    assert f"RUN {stopped} stopped" in told
    assert "completed" not in told
