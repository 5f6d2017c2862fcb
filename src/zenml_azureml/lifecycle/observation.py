"""What the state of a watched job means for its step: from a job to an event."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.enums import ExecutionStatus
from zenml.logger import get_logger

from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.lifecycle.attempts import attempt_from_job
from zenml_azureml.lifecycle.canceller import CANCEL_AGAIN
from zenml_azureml.lifecycle.outcome import ended_itself, overdue, status_of
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason, history, next_target, short
from zenml_azureml.lifecycle.state import (
    CancelHadNoEffect,
    Event,
    JobEnded,
    JobHeld,
    JobLost,
    JobOver,
    JobQueued,
    JobRuns,
    QueueTimedOut,
    StepPhase,
)
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.lifecycle.execution import StepExecution

logger = get_logger(__name__)

#: Longest run of a job that started while the operator cancelled it for its queue timeout.
_CANCEL_TAKES = timedelta(minutes=2)

#: The phase of a step at its end, by its status.
PHASES = {
    ExecutionStatus.COMPLETED: StepPhase.SUCCEEDED,
    ExecutionStatus.FAILED: StepPhase.FAILED,
    ExecutionStatus.STOPPED: StepPhase.STOPPED,
}


def event_of(step: StepExecution, job: JobHandle, now: float) -> Event | None:
    """Return what an unfinished job means for its step; None if nothing has changed. Makes no request.

    Args:
        step: The step.
        job: Its newest job, which is not settled.
        now: The time, in seconds of the clock that `StepExecution.cancelled_at` is read from.
    """
    if step.state.phase is StepPhase.GIVING_UP:
        return JobOver()  # its end could not be published before
    if job.phase not in (JobPhase.WAITING, JobPhase.PREPARING):
        may_run = step.state.phase in (StepPhase.SUBMITTING, StepPhase.QUEUED)
        return JobRuns() if may_run and not job.phase.ended else None
    if step.state.phase is StepPhase.MOVING:
        return CancelHadNoEffect() if now - step.cancelled_at >= CANCEL_AGAIN.total_seconds() else None
    *before, attempt = _with_facts(step, job)
    late = overdue(job, step.plan.targets[attempt.target].queue_timeout)
    if late is not None and step.state.phase is StepPhase.QUEUED:
        attempt = replace(attempt, reason=RetryReason.QUEUE_TIMEOUT)
        return QueueTimedOut(late.with_history(history((*before, attempt))), attempt)
    return JobQueued() if step.state.phase in (StepPhase.SUBMITTING, StepPhase.RUNNING) else None


def event_of_end(step: StepExecution, job: JobHandle, *, is_stopped: bool) -> Event:
    """Return what the end of a job means for its step. May ask ZenML's server whether the step has reported its end.

    Args:
        step: The step.
        job: Its newest job, which is settled.
        is_stopped: True if this process has stopped the step, so that it is not resubmitted.

    Raises:
        ServerUnavailableError: If the server is unavailable.
    """
    *before, attempt = _with_facts(step, job)
    if job.error is not None:
        return JobLost(job.error)
    if job.held_until is not None and not job.phase.ended:
        return JobHeld(attempt)
    reason, details = reason_of_end(job, attempt), job.details
    ended = replace(attempt, reason=reason)
    if details is not None:
        ended = replace(ended, says=short(details.error), started=details.started, ended=details.ended)
    another = reason is not None and next_target((*before, ended), reason, step.limits) is not None
    # A step that has reported its end has ended, whatever happens to its job: ZenML accepts no second end.
    if not is_stopped and (another or _may_have_succeeded(step, job, reason)):
        status = step_runs.reported_status(step.step_run)
        another = another and status in step_runs.UNREPORTED
        job.succeeded_before = status is ExecutionStatus.COMPLETED and _may_have_succeeded(step, job, reason)
    if job.succeeded_before:
        message = "Azure ML job `%s` of step `%s` was cut short (%s) after the step had reported its success."
        logger.warning(message, job.name, step.name, job.status)
    return JobEnded(ended, PHASES[status_of(job)], another and not is_stopped)


def _may_have_succeeded(step: StepExecution, job: JobHandle, reason: RetryReason | None) -> bool:
    """True if a job was cut short, by a limit, a preemption or a user, when its step may have had its end behind it.

    Its code has then reported its success to ZenML, after it had stored its outputs there. Outputs on Azure need the
    job's own success.
    """
    is_function = step.step_run.config.command is None
    is_cut_short = reason is RetryReason.PREEMPTED or (job.phase is JobPhase.CANCELED and not ended_itself(job))
    return is_function and is_cut_short and not step.plan.settings.outputs


def _with_facts(step: StepExecution, job: JobHandle) -> tuple[Attempt, ...]:
    """Return the attempts of a step, the last one completed from the tags of its job."""
    *before, last = step.state.attempts
    return (*before, attempt_from_job(job, last, step.plan))


def reason_of_end(job: JobHandle, attempt: Attempt) -> RetryReason | None:
    """Return why a step may be resubmitted, by the end of its job; None if it may not.

    Args:
        job: The job, which is settled.
        attempt: Its attempt.
    """
    from zenml_azureml.azure.failures.classifier import is_lack_of_capacity, is_preemption

    if job.error is not None or job.details is None or ended_itself(job):
        return None
    if job.phase is JobPhase.FAILED:
        if is_preemption(job.details.error):
            return RetryReason.PREEMPTED
        return RetryReason.NO_CAPACITY if is_lack_of_capacity(job.details.error) else None
    if job.phase is not JobPhase.CANCELED or attempt.reason is not RetryReason.QUEUE_TIMEOUT:
        return None
    # The operator cancelled it while it was queued or had just started. Another client cancelled one that ran longer.
    started, ended = job.details.started, job.details.ended
    ran_into_it = started is not None and ended is not None and ended - started < _CANCEL_TAKES
    return RetryReason.QUEUE_TIMEOUT if started is None or ran_into_it else None
