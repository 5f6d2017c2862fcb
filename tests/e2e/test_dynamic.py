"""Dynamic pipelines, where ZenML submits from many threads and asks about all steps from one."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job


@pytest.fixture
def dynamic_project(project: Project) -> Project:
    """A project whose dynamic pipelines look at their steps twice a second; ZenML's default is every 10 seconds."""
    project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "0.5"
    return project


def jobs_by_step(emulator: Emulator) -> dict[str, Job]:
    jobs = emulator.context.store.workspaces[0].jobs.values()
    return {job.properties["tags"]["zenml_step"]: job for job in jobs}


TWO_AT_ONCE = """
import threading
import requests

SENDERS, send = set(), requests.Session.send

def noting(session, request, **options):
    SENDERS.add(threading.current_thread().name)
    return send(session, request, **options)

requests.Session.send = noting

@step(step_operator="azureml")
def left() -> int:
    print("left is at work")
    return 20

@step(step_operator="elsewhere")
def right() -> int:
    print("right is at work")
    return 22

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[left, right])
def both():
    command = CommandStep(["echo", "said by a command"], name="command", step_operator="azureml")
    futures = [left.submit(), right.submit(), command.submit()]
    print("SUM", sum(future.load() for future in futures[:2]))

@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    CommandStep(["true"], name="named", step_operator="elsewhere")()
    CommandStep(["true"], name="default", step_operator=True)()

if __name__ == "__main__":
    client = Client()
    address = client.get_stack_component("step_operator", "azureml").configuration
    cluster = {**address, "mode": "compute-cluster", "compute_name": "a-cluster"}
    client.create_stack_component("elsewhere", "azureml", "step_operator", cluster)
    client.update_stack(component_updates={"step_operator": ["azureml", "elsewhere"]})
    for pipeline in (both, static):
        pipeline()
        print("SENDERS", sorted(SENDERS))
        run = last_run()
        print("STATUSES", run.status, sorted((name, str(s.status)) for name, s in run.steps.items()))
"""


def test_steps_run_at_once_each_on_the_operator_that_it_names(dynamic_project: Project, jobs: Emulator) -> None:
    output = dynamic_project.succeed(TWO_AT_ONCE)

    assert "SUM 42" in output
    assert "STATUSES completed [('command', 'completed'), ('left', 'completed'), ('right', 'completed')]" in output
    # ZenML asks about all steps on one thread, which waits for no answer of Azure's.
    senders = output.partition("SENDERS ")[2].partition("\n")[0]
    assert "zenml-azureml-job-monitor" in senders
    assert "DynamicPipelineRunner-Monitoring-Loop" not in senders
    for line in ("[left] left is at work", "[right] right is at work", "[command] said by a command"):
        assert output.count(line) == 1
    by_step = jobs_by_step(jobs)
    assert overlap(by_step["left"], by_step["right"])
    # The operator is told by its compute: the default one is serverless, the other has a cluster.
    assert target_of(by_step["left"]) is None
    assert target_of(by_step["right"]) == "a-cluster"

    assert "STATUSES completed [('default', 'completed'), ('named', 'completed')]" in output
    assert target_of(by_step["default"]) is None
    assert target_of(by_step["named"]) == "a-cluster"


FAILING = """
@step(step_operator="azureml")
def nobody_told_of() -> None: ...

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD)
def without_image():
    nobody_told_of()

failing = CommandStep(["bash", "-c", "echo it broke; exit 7"], name="failing", step_operator="azureml")
working = CommandStep(["true"], name="working", step_operator="azureml")

@pipeline(
    dynamic=True,
    enable_cache=False,
    settings=NO_BUILD,
    depends_on=[failing, working],
    execution_mode="continue_on_failure",
)
def half_failing():
    for future in (failing.submit(), working.submit()):
        future.wait()

if __name__ == "__main__":
    for pipeline in (without_image, half_failing):
        try:
            pipeline()
        except Exception as error:
            print("RAISED", type(error).__name__, error)
        run = last_run()
        print("STATUSES", run.status, sorted((name, str(s.status)) for name, s in run.steps.items()))
        for name, step_run in run.steps.items():
            if step_run.exception_info:
                print("SERVER", name, step_run.exception_info.message)
"""


def test_a_step_that_fails_or_cannot_start_is_told_with_its_cause(dynamic_project: Project, jobs: Emulator) -> None:
    output = dynamic_project.succeed(FAILING)

    first, second = output.split("pipeline: `half_failing`", maxsplit=1)
    for teller in ("RAISED AzureMLError", "SERVER nobody_told_of"):
        _, _, told = first.partition(teller)
        assert told.startswith(" No image was built for step `nobody_told_of`: in dynamic pipelines ZenML only builds")
        assert "@pipeline(dynamic=True, depends_on=[nobody_told_of])" in told
    assert "STATUSES failed [('nobody_told_of', 'failed')]" in first

    for teller in ("RAISED AzureMLError", "SERVER failing"):
        _, _, told = second.partition(teller)
        assert told.startswith(" The Azure ML job of step `failing` failed: its command ended with exit code 7.\nAzure")
        assert f"\n  it broke\nStudio: {jobs.base_url}/runs/" in told
    assert "STATUSES failed [('failing', 'failed'), ('working', 'completed')]" in second
    assert {step: job.status for step, job in jobs_by_step(jobs).items()} == {
        "failing": "Failed",
        "working": "Completed",
    }


LINGERING = """
import threading, time

@step(step_operator="azureml")
def lingering() -> int:
    # Its process goes on for a while after ZenML has reported the step.
    threading.Thread(target=time.sleep, args=[3]).start()
    return 42

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[lingering])
def ends_first():
    print("LOADED", lingering.submit().load())

if __name__ == "__main__":
    ends_first()
    print("STATUS", last_run().status)
"""


def test_a_run_that_ends_before_the_jobs_of_its_completed_steps_leaves_them_to_end_themselves(
    project: Project, jobs: Emulator
) -> None:
    project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "600"  # nobody looks at them in the end

    output = project.succeed(LINGERING)

    assert "LOADED 42" in output
    assert "STATUS completed" in output
    assert jobs_by_step(jobs)["lingering"].status == "Completed"


def overlap(one: Job, other: Job) -> bool:
    assert one.started_at
    assert one.ended_at
    assert other.started_at
    assert other.ended_at
    return one.started_at < other.ended_at and other.started_at < one.ended_at


def target_of(job: Job) -> str | None:
    compute_id = job.properties["computeId"]
    return compute_id.rpartition("/")[2] if compute_id else None
