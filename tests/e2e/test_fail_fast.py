"""FAIL_FAST in dynamic pipelines: ZenML's runner calls `cancel` for every step, and the failed one keeps its cause."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

PIPELINES = """
import os, sys, time

DYNAMIC = {"dynamic": True, "enable_cache": False, "settings": NO_BUILD, "execution_mode": "fail_fast"}

@step(step_operator="azureml")
def endless() -> None:
    print("endless is at work", flush=True)
    time.sleep(3600)

@step(step_operator="azureml")
def failing() -> None:
    raise ValueError("the learning rate is negative")

@step(step_operator="azureml")
def odd(number: int) -> int:
    if number == 3:
        raise ValueError(f"{number} is too much")
    time.sleep(3600)
    return number

@step
def numbers() -> list[int]:
    return [3, 1]

@step(step_operator="azureml")
def killed() -> None:
    os._exit(7)

@step(step_operator="azureml")
def quick() -> int:
    return 42

@pipeline(depends_on=[endless, failing], **DYNAMIC)
def submitted():
    # Waited for: ZenML reads the failure from its server, before it asks for the job's status.
    for future in [failing.submit(), endless.submit()]:
        future.wait()

@pipeline(depends_on=[odd], **DYNAMIC)
def mapped():
    odd.map(numbers()).wait()

@pipeline(depends_on=[endless, failing], **DYNAMIC)
def called():
    endless.submit()
    failing()

@pipeline(depends_on=[endless, killed], **DYNAMIC)
def without_report():
    for future in [endless.submit(), killed.submit()]:
        future.wait()

@pipeline(depends_on=[endless, quick], **DYNAMIC)
def mistaken():
    endless.submit()
    assert quick.submit().load() == 42
    raise ValueError("a mistake in the pipeline")

if __name__ == "__main__":
    try:
        globals()[sys.argv[1]]()
    except Exception as error:
        print("RAISED", type(error).__name__, error)
    run = last_run()
    for name, step_run in sorted(run.steps.items()):
        info = step_run.exception_info
        print("STEP", name, step_run.status, repr(info.message) if info else None)
    print("RUN", run.status)
"""


@pytest.fixture
def fail_fast(project: Project, jobs: Emulator) -> Project:
    """A project whose jobs are Finalizing for a while, as Azure ML's are: the step has reported its end by then."""
    jobs.context.settings.job_finalization = 4
    project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "1"
    return project


def statuses(jobs: Emulator) -> dict[str, str]:
    made = jobs.context.store.workspaces[0].jobs.values()
    return {job.properties["tags"]["zenml_step"]: job.status for job in made}


@pytest.mark.parametrize("pipeline", ["submitted", pytest.param("called", marks=pytest.mark.long)])
def test_the_step_that_failed_keeps_its_own_cause(pipeline: str, fail_fast: Project, jobs: Emulator) -> None:
    output = fail_fast.succeed(PIPELINES, pipeline)

    assert statuses(jobs) == {"endless": "Canceled", "failing": "Failed"}, output
    (failing,) = [line for line in output.splitlines() if line.startswith("STEP failing ")]
    assert failing.startswith("STEP failing failed 'the learning rate is negative")
    assert "was cancelled" not in failing
    (endless,) = [line for line in output.splitlines() if line.startswith("STEP endless ")]
    assert endless.startswith("STEP endless stopped 'The Azure ML job of step `endless` was cancelled: ")


@pytest.mark.long
def test_a_mapped_step_that_failed_keeps_its_own_cause(fail_fast: Project, jobs: Emulator) -> None:
    output = fail_fast.succeed(PIPELINES, "mapped")

    assert sorted(statuses(jobs).values()) == ["Canceled", "Failed"], output
    lines = [line for line in output.splitlines() if line.startswith("STEP ")]
    (failed,) = [line for line in lines if " failed " in line]
    assert "'3 is too much" in failed
    assert "was cancelled" not in failed
    (stopped,) = [line for line in lines if " stopped " in line]
    assert "was cancelled: another step of the run has failed." in stopped


def test_a_step_whose_job_has_failed_without_a_report_keeps_its_own_cause(fail_fast: Project, jobs: Emulator) -> None:
    output = fail_fast.succeed(PIPELINES, "without_report")

    assert statuses(jobs) == {"endless": "Canceled", "killed": "Failed"}, output
    (killed,) = [line for line in output.splitlines() if line.startswith("STEP killed ")]
    assert killed.startswith("STEP killed failed ")
    assert "The Azure ML job of step `killed` failed: its process ended with exit code 7" in killed
    assert "was cancelled" not in killed


def test_a_step_that_has_completed_stays_completed(fail_fast: Project, jobs: Emulator) -> None:
    output = fail_fast.succeed(PIPELINES, "mistaken")

    assert statuses(jobs) == {"endless": "Canceled", "quick": "Completed"}, output
    assert "STEP quick completed None" in output
