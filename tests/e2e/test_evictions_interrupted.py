"""What comes in the middle, when one job of a step has ended and the next one is being submitted."""

from __future__ import annotations

import json
import signal

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import ask, azureml, jobs_of, statuses
from tests.e2e.test_killed_orchestrator import restarted
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.rules import ScenarioRule

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

IMPATIENT = 'queue_timeout_minutes=0.02, fallback=[{"instance_type": "Standard_DS3_v2"}]'
STATIC_IMPATIENT, DYNAMIC_IMPATIENT = (
    script.replace('job_tier="spot", fallback=[{"job_tier": "standard"}]', IMPATIENT) for script in (STATIC, DYNAMIC)
)

#: What a step's metadata tell of its attempts.
HISTORY = """
import json
told = last_run().steps["sleeper"].run_metadata["azureml_attempts"]
print("HISTORY", json.dumps([[one.get("job"), one["target"], one.get("reason"), "usd" in one] for one in told]))
"""


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


CANCEL = {"method": "POST", "path": "/jobs/zenml-.{36}/cancel"}
NEXT_SUBMIT = {"method": "PUT", "path": "/jobs/zenml-.{36}-2"}


def killed_while_giving_up(project: Project, emulator: Emulator, script: str, refused: dict[str, str]) -> Job:
    """A pipeline whose step's job waits in the queue for too long, killed while Azure does not take a request of it."""
    project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "0.5"
    emulator.context.settings.simulated_seconds = 5
    emulator.context.scenarios.armed.append(Armed(ScenarioRule(name="never-started", times=1)))
    arm = Arm(emulator)
    arm.call("POST", "/_emulator/faults", {**refused, "status": 503, "times": 1000})
    client = project.start(script)
    eventually(lambda: arm.call("GET", "/_emulator/faults").body[0]["fired"], seconds=120)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    arm.call("DELETE", "/_emulator/faults")
    (job,) = jobs_of(emulator)
    assert job.status == ("Canceled" if refused is NEXT_SUBMIT else "Queued")
    return job


@pytest.mark.parametrize(
    ("script", "refused"),
    [(STATIC_IMPATIENT, CANCEL), (STATIC_IMPATIENT, NEXT_SUBMIT), (DYNAMIC_IMPATIENT, NEXT_SUBMIT)],
    ids=["static, before the cancel", "static, after the cancel", "dynamic, after the cancel"],
)
def test_the_process_after_one_that_was_killed_while_giving_up_a_place_goes_on_at_the_next(
    script: str, refused: dict[str, str], simulated_project: Project, emulator: Emulator
) -> None:
    first = killed_while_giving_up(simulated_project, emulator, script, refused)

    if script is DYNAMIC_IMPATIENT:
        restarted(simulated_project)
    else:
        waited = azureml(simulated_project, "jobs", "wait", first.name, "--patience=0")
        assert waited.returncode == 0, waited.stderr

    again, second = jobs_of(emulator)
    assert again is first
    assert [(job.name, job.status) for job in (first, second)] == [
        (first.name, "Canceled"),
        (f"{first.name}-2", "Completed"),
    ]
    assert first.ended_at
    assert first.ended_at <= second.created_at  # never two at once
    assert second.properties["resources"]["instanceType"] == "Standard_DS3_v2"
    assert statuses(simulated_project).endswith("completed")
    history = json.loads(ask(simulated_project, HISTORY).rpartition("HISTORY ")[2])
    assert history == [[first.name, 0, "queue timeout", True], [second.name, 1, None, True]]


def test_cancelling_the_run_of_a_process_that_was_killed_while_giving_up_a_place_submits_nothing(
    simulated_project: Project, emulator: Emulator
) -> None:
    first = killed_while_giving_up(simulated_project, emulator, STATIC_IMPATIENT, NEXT_SUBMIT)

    run = first.properties["tags"]["zenml_run_id"]
    cancelled = azureml(simulated_project, "jobs", "cancel", "--run", run, "--yes")

    assert cancelled.returncode == 0, cancelled.stderr
    assert jobs_of(emulator) == [first]
    assert statuses(simulated_project) == "stopped stopped"


#: The cluster is not to be had at first, so that the step goes from its first place to its third.
THREE_PLACES = STATIC.replace(
    '[{"job_tier": "standard"}]',
    '[{"mode": "compute-cluster", "compute_name": "north", "size": "Standard_DS3_v2", "location": "northeurope"},'
    ' {"job_tier": "standard", "instance_type": "Standard_DS12_v2"}]',
)
NO_ROOM = {"error": {"code": "UserError", "message": "AllocationFailed: there are no machines of that size."}}


def test_the_history_tells_where_the_job_is_that_was_submitted_by_a_process_that_knew_better(
    simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 5
    refused = {"method": "PUT", "path": "/computes/north", "status": 400, "body": NO_ROOM}
    Arm(emulator).call("POST", "/_emulator/faults", refused)
    client, (first, second) = submitting_again(simulated_project, emulator, THREE_PLACES)
    client.send_signal(signal.SIGKILL)  # the answer to the second submit is lost, and nothing of it is saved
    client.communicate()
    Arm(emulator).call("DELETE", "/_emulator/faults")

    waited = azureml(simulated_project, "jobs", "wait", first.name, "--patience=0")

    # There was room at the second place by now. But the job is at the third.
    assert waited.returncode == 0, waited.stderr
    assert f"Job `{second.name}` already exists" in waited.stdout + waited.stderr
    assert jobs_of(emulator) == [first, second]
    assert second.properties["tags"]["zenml_target"] == "2"
    told = ask(simulated_project, HISTORY).rpartition("HISTORY ")[2]
    assert json.loads(told) == [[first.name, 0, "preempted", True], [second.name, 2, None, True]]
    facts = ask(
        simulated_project,
        'facts = last_run().steps["sleeper"].run_metadata\n'
        'print("FACTS", *(facts[f"azureml_{name}"] for name in ("compute", "vm_size", "usd_per_hour_all_nodes")))',
    )
    assert facts.endswith("FACTS serverless Standard_DS12_v2 0.37")
