"""What ZenML's server is told of the runs whose jobs were ended from here, or outlived their orchestrator.

What ZenML 0.98 does by itself (read in its source and measured): the status of a static run follows from those of
its step runs, and becomes `stopped` once all are finished and one is stopped; that of a dynamic run is what its
runner says, and so stays as it was where the runner is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus, StackComponentType
from zenml.exceptions import IllegalOperationError
from zenml.logger import get_logger
from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update

from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ask

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

    from zenml_azureml.azure.jobs.listing import ListedJob
    from zenml_azureml.job_admin.workspaces import Place

logger = get_logger(__name__)

_POLL_INTERVAL = timedelta(seconds=1)

#: The orchestrator whose runs live in the process that started them: when that is gone, nobody goes on with them.
_IN_PROCESS_ORCHESTRATOR = "local"

#: A step run that waits for its orchestrator to try it again.
_IDLE = frozenset({ExecutionStatus.RETRYING})


def find_run(name_or_id: str) -> PipelineRunResponse | None:
    """The run of that name or id; None if this server has none."""
    try:
        return Client().get_pipeline_run(name_or_id, allow_name_prefix_match=False)
    except KeyError:
        return None


def ask_to_stop(run: PipelineRunResponse) -> None:
    """Have the server refuse further step runs, and tell an orchestrator that still lives, as `runs stop` does."""
    if not run.status.is_finished and run.status is not ExecutionStatus.STOPPING:
        words = "Its Azure ML jobs are being cancelled."
        ask(
            f"stopping the run `{run.name}`",
            lambda: publish_pipeline_run_status_update(run.id, ExecutionStatus.STOPPING, status_reason=words),
        )


def mark_step_stopped(step_run_id: UUID, reason: AzureMLError) -> None:
    """Let the server know that a step was stopped, unless it knows its end or nothing of it.

    Args:
        step_run_id: The step run.
        reason: What stopped it.
    """
    try:
        step_run = ask("looking up a step", lambda: Client().get_run_step(step_run_id, hydrate=False))
    except KeyError:
        return  # deleted with its run
    if not step_run.status.is_finished:
        step_runs.publish_stopped(step_run, reason)


def publish_step_end(step_run_id: UUID, job: ListedJob, *, by_command: bool) -> None:
    """Let the server know how a step ended whose job has, unless it knows; for steps that nobody waits for.

    Args:
        step_run_id: The step run.
        job: Its job, which has ended.
        by_command: Whether `zenml-azureml jobs cancel` has just cancelled it.
    """
    try:
        step_run = ask("looking up a step", lambda: Client().get_run_step(step_run_id))
    except KeyError:
        return  # deleted with its run
    if step_run.status.is_finished:
        return
    if job.phase is JobPhase.CANCELED:
        words = (
            f"The Azure ML job `{job.name}` was cancelled{' with `zenml-azureml jobs cancel`' if by_command else ''}."
        )
        step_runs.publish_stopped(step_run, AzureMLError(words, studio_url=job.studio_url))
    elif job.phase is JobPhase.COMPLETED and step_run.config.command is not None:
        step_runs.publish_completed(step_run)  # nothing in the container of a command step reports to ZenML
    else:
        words = f"The Azure ML job `{job.name}` has ended ({job.status}), and nobody has told ZenML how the step ended."
        step_runs.publish_failure(
            step_run,
            AzureMLError(
                words,
                studio_url=job.studio_url,
                hint=f"`zenml-azureml jobs show {job.name}` tells why, and shows the end of its log.",
            ),
        )


def steps_without_job_ended(run_id: UUID, places: Iterable[Place], with_job: Collection[str]) -> None:
    """Let the server know that steps of a run were stopped that never got a job, unless it knows their ends.

    Their process was killed before it could submit them. One that still runs submits nothing for a stopping run.

    Args:
        run_id: The run, which was asked to stop.
        places: Where its jobs are.
        with_job: The ids of those of its step runs that have one.
    """
    workspaces = {place.operator: place.workspace for place in places if place.operator}
    for step_run in Client().get_pipeline_run(run_id).steps.values():
        workspace = workspaces.get(str(step_run.config.step_operator))
        if step_run.status.is_finished or workspace is None or str(step_run.id) in with_job:
            continue
        if workspace.find_job(step_runs.recorded_job_name(step_run)) is None:  # nor one that no listing has yet
            words = "The step was stopped with `zenml-azureml jobs cancel` before it had an Azure ML job."
            mark_step_stopped(step_run.id, AzureMLError(words))


def mark_run_stopped(run_id: UUID) -> PipelineRunResponse:
    """Let the server know that a run is stopped, if all of its steps are over.

    Args:
        run_id: The run, which was asked to stop.

    Returns:
        The run as it is now.
    """
    run = _get(run_id)
    ask_to_stop(run)  # again, where the server was away the first time
    run = _get(run_id)
    if run.status is not ExecutionStatus.STOPPING or unfinished_steps(run):
        return run
    for step_run in run.steps.values():
        if step_run.status in _IDLE:
            step_runs.publish_stopped(step_run)
    run = _get(run_id)
    if run.status is ExecutionStatus.STOPPING:
        run = _publish_end(run_id, ExecutionStatus.STOPPED)
    return run


def unfinished_steps(run: PipelineRunResponse) -> list[str]:
    """Names of the steps of a run that are going on, as far as the server knows."""
    return [name for name, step in run.steps.items() if not step.status.is_finished and step.status not in _IDLE]


def mark_command_completed(step_run: StepRunResponse, patience: timedelta, *, time: Time = SYSTEM_TIME) -> None:
    """Let the server know that a command step has succeeded, unless its launcher does so in time.

    Nothing in the container of a command step reports to ZenML, and a launcher that finds its step finished by
    somebody else fails the run.

    Args:
        step_run: The step run.
        patience: How long to wait for the launcher.
        time: Where the time comes from.
    """
    waited_for = f"the orchestrator of the run to tell that the step `{step_run.name}` has completed"
    if not _comes_true(lambda: step_runs.reported_status(step_run).is_finished, waited_for, patience, time):
        step_runs.publish_completed(step_run)


def settle(run_id: UUID, patience: timedelta, *, time: Time = SYSTEM_TIME) -> PipelineRunResponse:
    """See what becomes of a run after the end of one of its steps.

    A run that nobody goes on with has failed, and can be retried then. That nobody does is certain only of a run that
    lived in a process: another orchestrator may be slow.

    Args:
        run_id: The run.
        patience: How long to wait for somebody who goes on with it.
        time: Where the time comes from.

    Returns:
        The run as it is now.
    """

    def goes_on() -> bool:
        run = _get(run_id)
        return run.status.is_finished or bool(unfinished_steps(run))

    went_on = _comes_true(goes_on, "the orchestrator of the run to go on", patience, time)
    run = _get(run_id)
    if went_on or not _lived_in_a_process(run):
        return run
    return _publish_end(run_id, ExecutionStatus.FAILED, "The process that orchestrated the run is gone.")


def _comes_true(ask: Callable[[], bool], waited_for: str, patience: timedelta, time: Time) -> bool:
    if ask():
        return True
    logger.info("Waiting up to %.0f s for %s.", patience.total_seconds(), waited_for)
    deadline = time.monotonic() + patience.total_seconds()
    while time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL.total_seconds())
        if ask():
            return True
    return False


def _lived_in_a_process(run: PipelineRunResponse) -> bool:
    orchestrators = run.stack.components.get(StackComponentType.ORCHESTRATOR, []) if run.stack else []
    return [component.flavor_name for component in orchestrators] == [_IN_PROCESS_ORCHESTRATOR]


def _publish_end(run_id: UUID, status: ExecutionStatus, reason: str | None = None) -> PipelineRunResponse:
    def publish() -> PipelineRunResponse:
        try:
            return publish_pipeline_run_status_update(run_id, status, status_reason=reason)
        except IllegalOperationError:
            # Its orchestrator was there after all, and has reported another end to the server in the meantime.
            run = Client().get_pipeline_run(run_id)
            if not run.status.is_finished:
                raise
            return run

    return ask(f"saving that the run is {status.value}", publish)


def _get(run_id: UUID) -> PipelineRunResponse:
    return ask("looking up the run", lambda: Client().get_pipeline_run(run_id))
