"""What the state of a job means for its step run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.enums import ExecutionStatus

from zenml_azureml.azure.failures.classifier import FailedJob, cause_of, exit_code_of, without_repetition
from zenml_azureml.azure.failures.rules import timeout
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.contract.own_end import EXIT_CODES
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.azure.jobs.run_history import RunDetails
    from zenml_azureml.azure.logs.tail import LogEnd

#: These six are the only statuses after which ZenML's runner of dynamic
#: pipelines goes on asking or publishes an end; any other makes it drop the step for good.
_STATUS_BY_PHASE = {
    JobPhase.WAITING: ExecutionStatus.INITIALIZING,
    JobPhase.PREPARING: ExecutionStatus.PROVISIONING,
    JobPhase.RUNNING: ExecutionStatus.RUNNING,
    JobPhase.COMPLETED: ExecutionStatus.COMPLETED,
    JobPhase.FAILED: ExecutionStatus.FAILED,
    JobPhase.CANCELED: ExecutionStatus.STOPPED,
}


def status_of(job: JobHandle) -> ExecutionStatus:
    """The step's status as its job shows it.

    An end counts only when it is settled: until then its log may still be read.
    """
    if job.error is not None:
        return ExecutionStatus.FAILED
    if job.phase.ended and not job.settled:
        return ExecutionStatus.RUNNING
    if _time_used_up(job):
        return ExecutionStatus.FAILED
    if ended_itself(job):
        return ExecutionStatus.STOPPED
    return _STATUS_BY_PHASE[job.phase]


def ended_itself(job: JobHandle) -> bool:
    """True if a job has ended itself, because its step was over on ZenML's server."""
    return job.phase in (JobPhase.FAILED, JobPhase.COMPLETED) and _ended_itself(job.log_end, job.details)


def conclude(job: JobHandle, step_run: StepRunResponse, because: str = "", history: str = "") -> AzureMLError | None:
    """Compare the end of a job with what the step reported, and tell the server what it does not know.

    Args:
        job: A settled job.
        step_run: Its step run.
        because: Why it was cancelled from here, as half a sentence; empty if it was not.
        history: What was tried before it, in lines; empty if nothing was.

    Returns:
        Why the step did not succeed; None if it did.
    """
    error = _failure(job, step_run, because)
    if error is None:
        return None
    error = error.with_history(history)
    if step_runs.has_reported(step_run):
        # A job that was cancelled from here after the report says nothing of why the step ended.
        if not because or status_of(job) is not ExecutionStatus.STOPPED:
            step_runs.add_to_report(step_run, error)
    elif status_of(job) is ExecutionStatus.STOPPED:
        step_runs.publish_stopped(step_run, error)
    else:
        step_runs.publish_failure(step_run, error)
    return error


def account_without_server(
    job: JobHandle, step_run: StepRunResponse, because: str = "", history: str = ""
) -> AzureMLError:
    """Return how a job ended, as far as that is known without ZenML's server.

    Args:
        job: The job.
        step_run: Its step run.
        because: Why it was cancelled from here, as half a sentence; empty if it was not.
        history: What was tried before it, in lines; empty if nothing was.
    """
    step = f"{step_runs.OUR_WORDS} `{step_run.name}`"
    status = status_of(job)
    if job.error is not None:
        error = job.error
    elif status is ExecutionStatus.FAILED:
        error = _explain(job, step, "", step_run.config.command is not None)
    elif status is ExecutionStatus.STOPPED:
        error = _cancelled(job, step, because)
    else:
        how = "has completed" if status is ExecutionStatus.COMPLETED else f"has the status {job.status or 'unknown'}"
        error = AzureMLError(f"{step} {how}.", studio_url=job.studio_url)
    return error.with_history(history)


@dataclass(frozen=True)
class Account:
    """Why a job failed.

    Attributes:
        what: What failed and why, as a sentence.
        azure_message: Azure's own words.
        log_tail: The last lines of its log, without those that Azure repeats.
        log_source: Whose log it is, e.g. `node 1 rank 3`; empty where there is only one.
        studio_url: Its page in Studio.
        hint: What to do, as sentences.
    """

    what: str
    azure_message: str
    log_tail: tuple[str, ...]
    log_source: str
    studio_url: str
    hint: str

    def error(self) -> AzureMLError:
        """The same as an error."""
        return AzureMLError(
            self.what,
            azure_message=self.azure_message,
            log_tail=self.log_tail,
            log_source=self.log_source,
            studio_url=self.studio_url,
            hint=self.hint,
        )


def account_of(
    job: str,
    details: RunDetails | None,
    log_end: LogEnd,
    reported: str,
    studio_url: str,
    *,
    is_command: bool = False,
) -> Account:
    """Why a job failed.

    Args:
        job: What to call it, at the beginning of a sentence.
        details: What run history tells of it; None if that is not known.
        log_end: The end of its log; of several, of the one that explains it best.
        reported: What the step's own code has reported of its failure, on rank 0; empty for nothing.
        studio_url: Its page in Studio.
        is_command: Whether it runs a command of the user's that reports nothing but its exit code.
    """
    message, code = (details.error, details.error_code) if details else ("", "")
    limit = details.time_used_up if details else None
    where = f" on {log_end.label}" if log_end.label and (log_end.is_blamed or not log_end.is_first) else ""
    if where and not log_end.is_first:
        # Where another rank has failed, what rank 0 reports is what came of that.
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
    )
    cause = timeout(limit) if limit else cause_of(failed)
    azure_message, rest_of_log = without_repetition(message, log_end.lines)
    ended = "was stopped" if _ended_itself(log_end, details) else f"failed{where}"
    return Account(
        f"{job} {ended}{': ' + cause.what.removesuffix('.') if cause.what else ''}.",
        azure_message,
        rest_of_log,
        log_end.label,
        studio_url,
        cause.hint,
    )


def overdue(job: JobHandle, queue_timeout: timedelta | None) -> AzureMLError | None:
    """Why a job that still waits for its compute is to be given up; None if it may wait on.

    Args:
        job: The job.
        queue_timeout: How long it may wait; None for as long as it takes.
    """
    waiting = job.phase in (JobPhase.WAITING, JobPhase.PREPARING)
    if queue_timeout is None or not waiting or job.waited < queue_timeout:
        return None
    minutes = queue_timeout.total_seconds() / 60
    return AzureMLError(
        f"The Azure ML job `{job.name}` was cancelled: after {job.waited.total_seconds():.0f} s it still waited for "
        f"its compute (state: {job.status}), and `queue_timeout_minutes` is {minutes:g}.",
        studio_url=job.studio_url,
        hint="Look in Studio at what occupies the compute or its quota; choose another size, region or `job_tier`; "
        "or raise `queue_timeout_minutes`.",
    )


def _failure(job: JobHandle, step_run: StepRunResponse, because: str) -> AzureMLError | None:
    if job.error is not None:
        return job.error
    step = f"{step_runs.OUR_WORDS} `{step_run.name}`"
    # Nothing in the container of a command step reports to ZenML: the launcher publishes its end.
    is_command = step_run.config.command is not None
    status = status_of(job)
    if status is ExecutionStatus.FAILED:
        return _explain(job, step, step_runs.reported_failure(step_run.id), is_command)
    if status is ExecutionStatus.STOPPED and ended_itself(job):
        return _explain(job, step, "", is_command)
    if status is ExecutionStatus.STOPPED:
        return _cancelled(job, step, because)
    # Of a command step too: ZenML publishes its end right after this, and does not wait for a server that is away.
    has_reported = step_runs.has_reported(step_run)
    if not is_command and not has_reported:
        return AzureMLError(
            f"{step} completed, but its container never told ZenML that the step ended.",
            log_tail=job.log_end.lines,
            log_source=job.log_end.label,
            studio_url=job.studio_url,
            hint="Something ended the process early and with exit code 0 (`os._exit(0)`, a wrapper script): let "
            "the step's function return.",
        )
    return None


def _explain(job: JobHandle, step: str, reported: str, is_command: bool) -> AzureMLError:
    account = account_of(step, job.details, job.log_end, reported, job.studio_url, is_command=is_command)
    return account.error()


def _cancelled(job: JobHandle, step: str, because: str) -> AzureMLError:
    if because:
        return AzureMLError(f"{step} was cancelled: {because}.", studio_url=job.studio_url)
    never_began = job.details is not None and job.details.started is None
    return AzureMLError(
        f"{step} was cancelled{' before it began to run' if never_began else ''}.",
        azure_message=job.details.error if job.details else "",
        studio_url=job.studio_url,
        hint="If nobody meant to cancel it, Studio shows who did. Run the pipeline again to repeat the step.",
    )


def _ended_itself(log_end: LogEnd, details: RunDetails | None) -> bool:
    if log_end.ended_itself:
        return True
    # Without the line, which may be cut off, the exit code shows it. Of several processes only one is named.
    return details is not None and log_end.is_named and exit_code_of(details.error) in EXIT_CODES


def _time_used_up(job: JobHandle) -> timedelta | None:
    """The time limit, where Azure cancelled a job because it was over."""
    return job.details.time_used_up if job.details and job.phase is JobPhase.CANCELED else None
