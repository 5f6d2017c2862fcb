"""Updates of runs on ZenML's server, whose jobs were cancelled from here or outlived their orchestrator.

ZenML 0.98 does this by itself (read in its source and measured): the status of a static run follows from those of
its step runs, and becomes `stopped` once all are finished and one is stopped; that of a dynamic run is what its
runner reports, and so does not change if the runner is gone.
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
from zenml_azureml.job_admin.workspaces import in_words
from zenml_azureml.retry_loop import wait_until
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ask

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.workspaces import Place

logger = get_logger(__name__)

_POLL_INTERVAL = timedelta(seconds=1)

#: The orchestrator whose runs live in the process that started them: without that process, no other continues them.
_IN_PROCESS_ORCHESTRATOR = "local"

#: Status of a step run that waits for its orchestrator to retry it.
_IDLE = frozenset({ExecutionStatus.RETRYING})


def find_run(name_or_id: str) -> PipelineRunResponse | None:
    """Return the run with that name or id; None if this server has none."""
    try:
        return Client().get_pipeline_run(name_or_id, allow_name_prefix_match=False)
    except KeyError:
        return None


def check_run(run: str, places: list[Place]) -> None:
    """Check that the server has a run of which no workspace has a job.

    Args:
        run: Name or id of the run.
        places: The workspaces that were searched.

    Raises:
        AzureMLError: If it has not, or cannot be reached.
    """
    nowhere = f"no job of it in {in_words(places)}"
    try:
        found = find_run(run)
    except ValueError:  # several runs have this name
        return
    except Exception as error:
        raise AzureMLError(
            f"There is {nowhere.replace('of it', f'of the run `{run}`')}, and the ZenML server cannot be asked for the "
            f"run: {error}",
            hint="Check the connection: `zenml status`.",
        ) from error
    if found is None:
        raise AzureMLError(
            f"The ZenML server has no run `{run}`, and there is {nowhere}.",
            hint="To list the runs: `zenml pipeline runs list`. Use the whole name or ID of the run.",
        )


def ask_to_stop(run: PipelineRunResponse) -> None:
    """Have the server refuse further step runs, and stop an orchestrator that is still alive, as `runs stop` does."""
    if not run.status.is_finished and run.status is not ExecutionStatus.STOPPING:
        words = "Its Azure ML jobs are being cancelled."
        ask(
            f"stopping the run `{run.name}`",
            lambda: publish_pipeline_run_status_update(run.id, ExecutionStatus.STOPPING, status_reason=words),
        )


def mark_step_stopped(step_run_id: UUID, reason: AzureMLError) -> None:
    """Report to the server that a step was stopped, unless it knows the step's end or does not know the step.

    Args:
        step_run_id: The step run.
        reason: The reason.
    """
    try:
        step_run = ask("looking up a step", lambda: Client().get_run_step(step_run_id, hydrate=False))
    except KeyError:
        return  # deleted with its run
    if not step_run.status.is_finished:
        step_runs.publish_stopped(step_run, reason)


def publish_step_end(step_run_id: UUID, job: JobSnapshot, *, by_command: bool) -> None:
    """Report to the server how a step without orchestrator ended, given its ended job, unless the server knows.

    Args:
        step_run_id: The step run.
        job: Its job, which has ended.
        by_command: True if `zenml-azureml jobs cancel` has just cancelled it.
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
        words = f"The Azure ML job `{job.name}` ended ({job.status}), but the step's end was not reported to ZenML."
        step_runs.publish_failure(
            step_run,
            AzureMLError(
                words,
                studio_url=job.studio_url,
                hint=f"To show the cause and the end of its log: `zenml-azureml jobs show {job.name}`.",
            ),
        )


def steps_without_job_ended(run_id: UUID, places: Iterable[Place], with_job: Collection[str]) -> None:
    """Report to the server that steps of a run without a job were stopped, unless the server knows their ends.

    Their process was killed before it could submit them. A running process submits nothing for a stopping run.

    Args:
        run_id: The run, which was asked to stop.
        places: The workspaces of its jobs.
        with_job: The ids of its step runs that have a job.
    """
    workspaces = {place.operator: place.workspace for place in places if place.operator}
    for step_run in Client().get_pipeline_run(run_id).steps.values():
        workspace = workspaces.get(str(step_run.config.step_operator))
        if step_run.status.is_finished or workspace is None or str(step_run.id) in with_job:
            continue
        if workspace.find_job(step_runs.recorded_job_name(step_run)) is None:  # also no job that is not listed yet
            words = "The step was stopped with `zenml-azureml jobs cancel` before it had an Azure ML job."
            mark_step_stopped(step_run.id, AzureMLError(words))


def mark_run_stopped(run_id: UUID) -> PipelineRunResponse:
    """Report to the server that a run is stopped, if all of its steps have ended.

    Args:
        run_id: The run, which was asked to stop.

    Returns:
        The updated run.
    """
    run = _get(run_id)
    ask_to_stop(run)  # again, in case the server was unavailable the first time
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
    """Return the names of the unfinished steps of a run, as far as the server knows."""
    return [name for name, step in run.steps.items() if not step.status.is_finished and step.status not in _IDLE]


def mark_command_completed(step_run: StepRunResponse, patience: timedelta, *, time: Time = SYSTEM_TIME) -> None:
    """Report to the server that a command step has succeeded, unless its launcher does so in time.

    The container of a command step reports nothing to ZenML. A launcher fails the run if another process has finished
    its step.

    Args:
        step_run: The step run.
        patience: Time to wait for the launcher.
        time: The clock.
    """
    waited_for = f"the orchestrator of the run to report that the step `{step_run.name}` has completed"
    if not _comes_true(lambda: step_runs.reported_status(step_run).is_finished, waited_for, patience, time):
        step_runs.publish_completed(step_run)


def settle(run_id: UUID, patience: timedelta, *, time: Time = SYSTEM_TIME) -> PipelineRunResponse:
    """Update a run after the end of one of its steps.

    A run that no orchestrator continues has failed, and can then be retried. That is certain only for a run that lived
    in a process: another orchestrator may be slow.

    Args:
        run_id: The run.
        patience: Time to wait for an orchestrator that continues the run.
        time: The clock.

    Returns:
        The updated run.
    """

    def is_continued() -> bool:
        run = _get(run_id)
        return run.status.is_finished or bool(unfinished_steps(run))

    continued = _comes_true(is_continued, "the orchestrator of the run to continue", patience, time)
    run = _get(run_id)
    if continued or not _lived_in_a_process(run):
        return run
    return _publish_end(run_id, ExecutionStatus.FAILED, "The process that orchestrated the run is gone.")


def _comes_true(ask: Callable[[], bool], waited_for: str, patience: timedelta, time: Time) -> bool:
    def report() -> None:
        logger.info("Waiting up to %.0f s for %s.", patience.total_seconds(), waited_for)

    deadline, interval = time.monotonic() + patience.total_seconds(), _POLL_INTERVAL.total_seconds()
    return wait_until(ask, bool, deadline=deadline, interval=interval, time=time, on_first_pause=report)


def _lived_in_a_process(run: PipelineRunResponse) -> bool:
    orchestrators = run.stack.components.get(StackComponentType.ORCHESTRATOR, []) if run.stack else []
    return [component.flavor_name for component in orchestrators] == [_IN_PROCESS_ORCHESTRATOR]


def _publish_end(run_id: UUID, status: ExecutionStatus, reason: str | None = None) -> PipelineRunResponse:
    def publish() -> PipelineRunResponse:
        try:
            return publish_pipeline_run_status_update(run_id, status, status_reason=reason)
        except IllegalOperationError:
            # Its orchestrator was still running, and has reported another end to the server in the meantime.
            run = Client().get_pipeline_run(run_id)
            if not run.status.is_finished:
                raise
            return run

    return ask(f"saving that the run is {status.value}", publish)


def _get(run_id: UUID) -> PipelineRunResponse:
    return ask("looking up the run", lambda: Client().get_pipeline_run(run_id))
