"""The status and the error of a step run, from the state of its job."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException

from zenml_azureml import tags
from zenml_azureml.azure.failures.classifier import FailedJob, cause_of, exit_code_of, without_repetition
from zenml_azureml.azure.failures.rules import timeout
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.contract.own_end import EXIT_CODES
from zenml_azureml.exceptions import AzureMLError, CostLimitError, JobCancelledError, JobFailedError, QueueTimeoutError
from zenml_azureml.lifecycle.right_size import OUT_OF_MEMORY, Machine, advice_on_memory
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.jobs.handle import JobHandle

#: After these six statuses, ZenML's runner of dynamic pipelines continues to poll or publishes an end. After any other
#: status it drops the step for good.
_STATUS_BY_PHASE = {
    JobPhase.WAITING: ExecutionStatus.INITIALIZING,
    JobPhase.PREPARING: ExecutionStatus.PROVISIONING,
    JobPhase.RUNNING: ExecutionStatus.RUNNING,
    JobPhase.COMPLETED: ExecutionStatus.COMPLETED,
    JobPhase.FAILED: ExecutionStatus.FAILED,
    JobPhase.CANCELED: ExecutionStatus.STOPPED,
}


class StoppedStepError(JobCancelledError, RunStoppedException):
    """A step was stopped, by a user or by its own job. ZenML does not retry a step after a `RunStoppedException`."""


def status_of(job: JobHandle) -> ExecutionStatus:
    """Return the step's status as its job shows it.

    An end counts only when it is settled: until then the log may still be read.
    """
    if job.error is not None:
        return ExecutionStatus.FAILED
    if job.is_over and not job.settled:
        return ExecutionStatus.RUNNING
    if job.succeeded_before:
        return ExecutionStatus.COMPLETED
    if job.held_until is not None or _time_used_up(job):
        return ExecutionStatus.FAILED
    if ended_itself(job):
        return ExecutionStatus.STOPPED
    return _STATUS_BY_PHASE[job.phase]


def ended_itself(job: JobHandle) -> bool:
    """True if a job has stopped itself because its step was over on ZenML's server."""
    return job.phase in (JobPhase.FAILED, JobPhase.COMPLETED) and _has_ended_itself(job)


def reason_of_failure(
    job: JobHandle, step_run: StepRunResponse, because: str = "", machine: Machine | None = None
) -> AzureMLError | None:
    """Compare the end of a job with what its step has reported; return why the step did not succeed, None if it did.

    Args:
        job: A settled job.
        step_run: Its step run.
        because: The reason why the operator cancelled it, as a clause; empty if it did not.
        machine: What it ran on; None if unknown.

    Raises:
        ServerUnavailableError: If the server is unavailable.
    """
    has_failed = job.error is None and status_of(job) is ExecutionStatus.FAILED
    reported = step_runs.reported_failure(step_run.id) if has_failed else ""
    error = _reason_by_job(job, step_run, because, reported, machine)
    if error is not None:
        return error
    # For a command step too: ZenML publishes its end right after this, and does not wait for an unavailable server.
    has_reported = step_runs.has_reported(step_run)
    # Nothing in the container of a command step reports to ZenML: the launcher publishes its end.
    return None if has_reported or step_run.config.command is not None else _unreported(job, step_run)


def publish(job: JobHandle, step_run: StepRunResponse, error: AzureMLError, because: str = "") -> None:
    """Publish why a step did not succeed, as far as the server does not know it.

    Args:
        job: Its job, which is settled.
        step_run: The step run.
        error: The reason.
        because: The reason why the operator cancelled the job, as a clause; empty if it did not.
    """
    is_stopped = status_of(job) is ExecutionStatus.STOPPED
    if step_runs.has_reported(step_run):
        # If the operator cancelled the job after the report, its end does not explain the end of the step.
        if not because or not is_stopped:
            step_runs.add_to_report(step_run, error)
    elif is_stopped:
        step_runs.publish_stopped(step_run, error)
    else:
        step_runs.publish_failure(step_run, error)


def account_without_server(
    job: JobHandle, step_run: StepRunResponse, because: str = "", history: str = ""
) -> AzureMLError:
    """Return how a job ended, as far as that is known without ZenML's server.

    Args:
        job: The job.
        step_run: Its step run.
        because: The reason why the operator cancelled it, as a clause; empty if it did not.
        history: The attempts to run the step, one line each; empty if there was only one.
    """
    error = _reason_by_job(job, step_run, because)
    if error is None:
        completed = status_of(job) is ExecutionStatus.COMPLETED
        how = "has completed" if completed else f"has the status {job.status or 'unknown'}"
        error = AzureMLError(f"{_job_of(step_run)} {how}.", studio_url=job.studio_url)
    return error.with_history(history)


def job_failure(
    words: str, job: JobHandle, reported: str = "", *, is_command: bool = False, machine: Machine | None = None
) -> JobFailedError:
    """Return why a job failed.

    Args:
        words: The words that name it at the beginning of a sentence.
        job: The job, as far as it is known.
        reported: The error that the step's own code has reported, on rank 0; empty if none.
        is_command: True if it runs a command of the user, which reports only its exit code.
        machine: What it ran on; None if unknown.
    """
    details, log_end, cost_limit = job.details, job.log_end, job.tags.get(tags.COST_LIMIT, "")
    message, code = (details.error, details.error_code) if details else ("", "")
    limit = details.time_used_up if details else None
    where = f" on {log_end.label}" if log_end.label and (log_end.is_blamed or not log_end.is_first) else ""
    if where and not log_end.is_first:
        # If another rank has failed first, the error that rank 0 reports is only a consequence.
        reported = ""
    failed = FailedJob(
        message,
        code,
        log_end.lines,
        reported,
        is_command,
        is_named=log_end.is_named,
        exception=log_end.exception,
        ended_itself=log_end.ended_itself,
        further=details.error_details if details else "",
    )
    cause = timeout(limit, cost_limit) if limit else cause_of(failed)
    azure_message, rest_of_log = without_repetition(message, log_end.lines)
    ended = "was stopped" if _has_ended_itself(job) else f"failed{where}"
    known = machine.look_up() if machine is not None and cause.name in OUT_OF_MEMORY else None
    kind = CostLimitError if limit and cost_limit else JobFailedError
    return kind(
        f"{words} {ended}{': ' + cause.what.removesuffix('.') if cause.what else ''}.",
        azure_message=azure_message,
        log_tail=rest_of_log,
        log_source=log_end.label,
        studio_url=job.studio_url,
        hint=" ".join(filter(None, [advice_on_memory(cause.name, log_end.usages, known), cause.advice(job.address)])),
        log_shown=job.log_shown,
        job_name=job.name,
        cause=cause.name,
    )


def overdue(job: JobHandle, queue_timeout: timedelta | None) -> AzureMLError | None:
    """Return the error for a job that is queued for too long; None if it may continue to wait.

    Args:
        job: The job.
        queue_timeout: Time for which it may be queued; None for no limit.
    """
    waiting = job.phase in (JobPhase.WAITING, JobPhase.PREPARING)
    if queue_timeout is None or not waiting or job.waited < queue_timeout:
        return None
    minutes = queue_timeout.total_seconds() / 60
    return QueueTimeoutError(
        f"The Azure ML job `{job.name}` was cancelled: it was still queued after {job.waited.total_seconds():.0f} s "
        f"(state: {job.status}), and `queue_timeout_minutes` is {minutes:g}.",
        studio_url=job.studio_url,
        hint="Check in Studio what occupies the compute or its quota. Choose another size, region or `job_tier`, or "
        "raise `queue_timeout_minutes`.",
    )


def _job_of(step_run: StepRunResponse) -> str:
    return f"{step_runs.OUR_WORDS} `{step_run.name}`"


def _unreported(job: JobHandle, step_run: StepRunResponse) -> JobFailedError:
    return JobFailedError(
        f"{_job_of(step_run)} completed, but the step never reported its result to ZenML.",
        log_tail=job.log_end.lines,
        log_source=job.log_end.label,
        studio_url=job.studio_url,
        log_shown=job.log_shown,
        job_name=job.name,
        cause="early-exit",
        hint="The process probably exited early with exit code 0 (e.g. `os._exit(0)` or a wrapper script). Let the "
        "step's function return.",
    )


def _reason_by_job(
    job: JobHandle, step_run: StepRunResponse, because: str, reported: str = "", machine: Machine | None = None
) -> AzureMLError | None:
    """Return why a step did not succeed, as far as its job shows it; None if the job shows no reason."""
    if job.error is not None:
        return job.error
    status = status_of(job)
    if status is ExecutionStatus.STOPPED and not ended_itself(job):
        return _cancelled(job, step_run, because)
    if status not in (ExecutionStatus.FAILED, ExecutionStatus.STOPPED):
        return None
    is_command = step_run.config.command is not None
    return job_failure(_job_of(step_run), job, reported, is_command=is_command, machine=machine)


def _cancelled(job: JobHandle, step_run: StepRunResponse, because: str) -> JobCancelledError:
    if because:
        return JobCancelledError(f"{_job_of(step_run)} was cancelled: {because}.", studio_url=job.studio_url)
    never_began = job.details is not None and job.details.started is None
    return JobCancelledError(
        f"{_job_of(step_run)} was cancelled{' before it started' if never_began else ''}.",
        azure_message=job.details.error if job.details else "",
        studio_url=job.studio_url,
        hint="Studio shows which user cancelled it. Run the pipeline again to repeat the step.",
    )


def _has_ended_itself(job: JobHandle) -> bool:
    """True if the log or the exit code of a job, whatever its status, shows that it has stopped itself."""
    if job.log_end.ended_itself:
        return True
    # If the line was cut off, the exit code shows it. Of several processes only one is named.
    return job.details is not None and job.log_end.is_named and exit_code_of(job.details.error) in EXIT_CODES


def _time_used_up(job: JobHandle) -> timedelta | None:
    """Return the time limit if Azure cancelled a job because it had exceeded that; None otherwise."""
    return job.details.time_used_up if job.details and job.phase is JobPhase.CANCELED else None
