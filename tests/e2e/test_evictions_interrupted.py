"""What comes in the middle, when one job of a step has ended and the next one is being submitted."""

from __future__ import annotations

import signal

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import azureml, jobs_of, statuses
from tests.e2e.test_killed_orchestrator import restarted
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.scenarios.armed import Armed, ScenarioRule
from zenml_azureml.emulator.state import Job

pytestmark = pytest.mark.long

SPOT = """
SETTINGS = {"step_operator": AzureMLStepOperatorSettings(job_tier="spot", fallback=[{"job_tier": "standard"}])}
sleeper = CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml", settings=SETTINGS)

@pipeline(dynamic=DYNAMIC, enable_cache=False, settings=NO_BUILD)
def spot():
    sleeper()

if __name__ == "__main__":
    spot()
"""
STATIC = SPOT.replace("DYNAMIC", "False")
DYNAMIC = SPOT.replace("DYNAMIC", "True, depends_on=[sleeper]")


def submitting_again(project: Project, emulator: Emulator, script: str) -> tuple[Process, list[Job]]:
    """A pipeline in the middle of its step's second submit: Azure has made the job, and its answer does not come."""
    project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "0.5"
    emulator.context.scenarios.armed.append(Armed(ScenarioRule(name="preempted", times=1)))
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/zenml-.{36}-2", "delay": 10})
    client = project.start(script)
    eventually(lambda: len(jobs_of(emulator)) == 2, seconds=120)
    return client, jobs_of(emulator)


@pytest.mark.parametrize("script", [STATIC, DYNAMIC], ids=["static", "dynamic"])
def test_a_killed_process_is_followed_by_one_that_goes_on_with_the_newest_job(
    script: str, simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 5
    client, (first, second) = submitting_again(simulated_project, emulator, script)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    Arm(emulator).call("DELETE", "/_emulator/faults")

    if script is DYNAMIC:
        restarted(simulated_project)
    else:
        waited = azureml(
            simulated_project, "jobs", "wait", first.properties["tags"]["zenml_step_run_id"], "--patience=0"
        )
        assert waited.returncode == 0, waited.stderr

    assert [(job.name, job.status) for job in jobs_of(emulator)] == [
        (first.name, "Failed"),
        (f"{first.name}-2", "Completed"),
    ]
    assert second.name == f"{first.name}-2"
    assert statuses(simulated_project).endswith("completed")


def test_ctrl_c_in_the_middle_ends_the_newest_job_and_no_other_follows(
    simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 3600
    client, _ = submitting_again(simulated_project, emulator, STATIC)

    client.send_signal(signal.SIGINT)
    output, _ = client.communicate(timeout=120)

    assert client.wait() != 0
    first, second = jobs_of(emulator)
    assert [first.status, second.status] == ["Failed", "Canceled"], output
    shown = azureml(simulated_project, "jobs", "show", first.properties["tags"]["zenml_step_run_id"])
    assert f"{second.name}\n" in shown.stdout, shown.stderr


def test_stopping_the_run_in_the_middle_ends_the_newest_job_and_no_other_follows(
    simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 3600
    client, (first, _) = submitting_again(simulated_project, emulator, DYNAMIC)

    run = first.properties["tags"]["zenml_run_id"]
    stopped = simulated_project.zenml("pipeline", "runs", "stop", run, "--graceful", "--yes")
    assert stopped.returncode == 0, stopped.stderr
    Arm(emulator).call("DELETE", "/_emulator/faults")
    client.communicate(timeout=120)

    assert [job.status for job in jobs_of(emulator)] == ["Failed", "Canceled"]
