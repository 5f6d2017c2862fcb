"""Effects of a scenario on a job."""

from __future__ import annotations

import uuid
from datetime import timedelta

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.http.bounds import LONGEST_JOB_SECONDS
from zenml_azureml.emulator.jobs.definition import compute_name, timeout_of
from zenml_azureml.emulator.jobs.exits import CanceledError, FailedError, RestartedError
from zenml_azureml.emulator.jobs.launch import build_launch, vm_size_of
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.base import JobEnd
from zenml_azureml.emulator.runtimes.exit_errors import end_of_command
from zenml_azureml.emulator.scenarios.catalogue import Scenario, Stage
from zenml_azureml.emulator.scenarios.rules import ScenarioRule
from zenml_azureml.emulator.state import Workspace

#: Seconds that a job is in each of the states that it passes through on the way to its end.
_STATUS_SECONDS = 0.2


async def interrupt_waiting(
    context: Context, workspace: Workspace, job: Job, rule: ScenarioRule | None, stage: Stage
) -> None:
    """Let happen to a job that does not run yet what is armed for that stage of its life.

    Raises:
        FailedError: If it fails by it.
        CanceledError: If it was canceled, having waited in vain.
    """
    if rule is None or rule.scenario.stage != stage:
        return
    scenario = rule.scenario
    if scenario.ending == "never":
        job.status = "Queued"
        await job.cancel_requested.wait()
        raise CanceledError
    raise _failure(context, workspace, job, scenario)


async def interrupt_running(context: Context, workspace: Workspace, job: Job, rule: ScenarioRule) -> JobEnd:
    """Let happen to a running job what is armed for it; its command has been ended already.

    Returns:
        The end of its command, if that causes the job's end.

    Raises:
        FailedError: If the job fails for another reason.
        CanceledError: If Azure ML cancels it.
        RestartedError: If it restarts.
    """
    scenario = rule.scenario
    for status in scenario.statuses:
        job.status = status
        await context.clock.sleep(_STATUS_SECONDS)
    if scenario.ending == "restarted":
        raise RestartedError
    if scenario.ending == "canceled":
        _let_time_have_passed(job)
        raise CanceledError
    if scenario.exit_code is None:
        raise _failure(context, workspace, job, scenario)
    log_file = build_launch(job, workspace, context.base_url).log_file
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a", encoding="utf-8") as log:
        log.write(scenario.log)
    return end_of_command(job.properties["command"], scenario.exit_code, log_file)


def _failure(context: Context, workspace: Workspace, job: Job, scenario: Scenario) -> FailedError:
    size, nodes = vm_size_of(job, workspace), int(job.properties["resources"]["instanceCount"])
    message = scenario.message.format(
        compute=compute_name(job.properties["computeId"]),
        image=build_launch(job, workspace, context.base_url).image,
        container=uuid.uuid5(uuid.NAMESPACE_URL, job.name).hex,
        family=size.family.title,
        nodes=nodes,
        vcpus=nodes * size.vcpus,
    )
    return FailedError(scenario.code, message, scenario.component)


def _let_time_have_passed(job: Job) -> None:
    """Set a job's start back by its `limits.timeout`, as if all that time had passed."""
    timeout = timeout_of(job.properties["limits"])
    assert timeout is not None  # noqa: S101 - no other job is met
    assert job.started_at is not None  # noqa: S101 - it ran
    job.started_at -= timedelta(seconds=min(timeout, LONGEST_JOB_SECONDS))
