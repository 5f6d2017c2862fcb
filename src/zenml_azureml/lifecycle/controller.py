"""Follows each step to its end, through all of its jobs, for callers that wait and for callers that poll."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunInterruptedException, RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import INTERRUPTED, PROCESS_ENDED
from zenml_azureml.lifecycle.outcome import StoppedStepError, account_without_server, conclude, status_of
from zenml_azureml.lifecycle.stop_checks import STOP_CHECK_INTERVAL, StopChecks
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.uncaught_errors import UNCAUGHT
from zenml_azureml.lifecycle.worker_pool import WorkerPool
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import AFTER_INTERRUPTION, ServerRetries, ServerUnavailableError, retrying

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.lifecycle.canceller import Canceller
    from zenml_azureml.lifecycle.recovery import RetryReason
    from zenml_azureml.lifecycle.submitter import StepSubmitter
    from zenml_azureml.lifecycle.supervisor import RunSupervisor


logger = get_logger(__name__)


class DropSecret(Protocol):
    """Deletes the secret of a step run in a key vault."""

    def __call__(self, step_run: StepRunResponse, *, in_background: bool = False) -> None:
        """Delete it, on a separate thread if the caller must not wait for that."""


class StepController:
    """Follows the steps of one operator. Thread-safe, as each of its parts is.

    Args:
        moves: Resubmits steps.
        ending: Cancels jobs.
        guard: Supervises the jobs that no caller waits for.
        watch: Returns the newest job of a step run, and starts to watch it.
        drop_secret: Deletes the secret of a step run in a key vault.
        time: The clock.
        note_end: Called when the last job of a step has ended.
    """

    def __init__(
        self,
        moves: StepSubmitter,
        ending: Canceller,
        guard: RunSupervisor,
        watch: Callable[[StepRunResponse], JobHandle],
        *,
        drop_secret: DropSecret,
        time: Time,
        note_end: Callable[[StepRunResponse], None] = lambda _step_run: None,
    ) -> None:
        self._moves = moves
        self._ending = ending
        self._guard = guard
        self._watch = watch
        self._drop_secret = drop_secret
        self._note_end = note_end
        self._time = time
        self._stop_checks = StopChecks(time)
        self._background = WorkerPool(time)
        self._logged: set[UUID] = set()

    def status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Return the step's status, as its newest job shows it, without waiting for Azure or ZenML's server."""
        try:
            return self._status(step_run)
        except ServerUnavailableError as error:
            # After any other status, ZenML's runner makes a request to the server, which fails and ends the run. With
            # this one it polls again.
            if step_run.id not in self._logged:
                self._logged.add(step_run.id)
                logger.error("%s", error)
            return ExecutionStatus.RUNNING

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the end of a step, and cancel its job if the wait is interrupted.

        Raises:
            AzureMLError: If the step failed. It has the cause, Azure's message, the end of the log and the link.
            RunStoppedException: If the run or its job was stopped.
        """
        STOP_SIGNALS.notice()
        check_interruption = STOP_SIGNALS.checker()
        retries = self.retries(step_run, check_interruption)
        with retrying(retries):
            try:
                self._guard.take(step_run, until_exit=True)  # from now on this thread waits for it
                job = self._wait_for_job(step_run, check_interruption)
                while (reason := self._moves.reason(step_run, job)) is not None:
                    self._submit_again(step_run, job, reason, check_interruption)
                    job = self._wait_for_job(step_run, check_interruption)
                self._drop_secret(step_run)
            except BaseException as interruption:
                self._ending.note_interruption(interruption, step_run.pipeline_run_id)
                self.end(step_run)
                if isinstance(interruption, ServerUnavailableError):
                    raise self.unreported(step_run, interruption) from None
                if isinstance(interruption, RunStoppedException):
                    self.publish_stopped(step_run)
                raise
            self._guard.release(step_run.id)
            self._note_if_ended(step_run, job)
            error = self._conclude(step_run, job, retries)
        if error is not None:
            raise error.as_kind(StoppedStepError) if status_of(job) is ExecutionStatus.STOPPED else error
        return status_of(job)

    def forget(self, step_run_id: UUID) -> None:
        """Forget a step run that is over."""
        self._logged.discard(step_run_id)
        self._background.forget(step_run_id)

    def end(self, step_run: StepRunResponse, *, look_for: timedelta = timedelta()) -> None:
        """Cancel the job of a step, and wait until it has ended.

        Args:
            step_run: The step run.
            look_for: Time for which its job may still appear.
        """
        self._guard.take(step_run, until_exit=True)  # the guard does it at exit, after a second Ctrl+C
        self._ending.end([step_run], look_for=look_for, then=lambda: self._guard.release(step_run.id))

    def retries(self, step_run: StepRunResponse, check: Callable[[], None]) -> ServerRetries:
        """Return the time for which requests to ZenML's server are retried for a step.

        Args:
            step_run: The step run.
            check: Ends the retries by raising, after a signal.
        """
        return ServerRetries(
            self._moves.timeout(step_run), self._time, check, lambda: self.check_not_stopping(step_run)
        )

    def unreported(self, step_run: StepRunResponse, away: ServerUnavailableError) -> ServerUnavailableError:
        """Return the error for a step whose end ZenML's server does not know, with the command that publishes it.

        Args:
            step_run: The step run.
            away: The error of the server.
        """
        job = self._watch(step_run)
        account = account_without_server(job, step_run, self._ending.why(step_run), self._moves.history(step_run))
        return self._explained(step_run, away, account)

    def end_runs(self, ended: list[StepRunResponse], reason: str) -> None:
        """Cancel the jobs of runs that are over; at exit, publish unfinished steps as stopped. Never raises.

        Args:
            ended: The step runs.
            reason: Why, as half a sentence.
        """
        self._ending.end_runs(ended, reason)
        if reason == PROCESS_ENDED:  # before that, ZenML polls the steps, and each end is published
            with retrying(ServerRetries(AFTER_INTERRUPTION, self._time)):
                self._publish_all_stopped(ended)

    def _publish_all_stopped(self, ended: list[StepRunResponse]) -> None:
        for number, step_run in enumerate(ended):
            try:
                if not step_runs.has_reported(step_run):
                    step_runs.publish_stopped(step_run, self._account_of_stop(step_run))
            except ServerUnavailableError as away:
                for left in ended[number:]:
                    stopped = AzureMLError(f"The step `{left.name}` was stopped.")
                    logger.error("%s", self._explained(left, away, stopped))
                return
            except Exception as error:  # noqa: BLE001 - the jobs are cancelled, which matters more
                logger.debug("Could not publish that the step `%s` was stopped: %s", step_run.name, error)

    def _account_of_stop(self, step_run: StepRunResponse) -> AzureMLError | None:
        job = self._watch(step_run)
        if not job.settled:
            return None
        return account_without_server(job, step_run, self._ending.why(step_run), self._moves.history(step_run))

    def publish_failure(self, step_run: StepRunResponse, error: AzureMLError) -> AzureMLError:
        """Publish to ZenML's server why a step failed.

        Returns:
            The error to raise; if the server is unavailable, it has the command that repairs the state.
        """
        try:
            step_runs.publish_failure(step_run, error)
        except ServerUnavailableError as away:
            return self._explained(step_run, away, error)
        return error

    def publish_stopped(self, step_run: StepRunResponse, reason: AzureMLError | None = None) -> None:
        """Publish to ZenML's server that a step was stopped; log how to repair the state if it is unavailable.

        Args:
            step_run: The step run.
            reason: The cause, if it was not the end of the run.
        """
        interrupted = self._ending.why(step_run) == INTERRUPTED
        timeout = AFTER_INTERRUPTION if interrupted else self._moves.timeout(step_run)
        with retrying(ServerRetries(timeout, self._time, STOP_SIGNALS.checker())):
            try:
                step_runs.publish_stopped(step_run, reason)
            except ServerUnavailableError as away:
                stopped = reason or AzureMLError(f"The step `{step_run.name}` was stopped.")
                logger.error("%s", self._explained(step_run, away, stopped))

    def _explained(
        self, step_run: StepRunResponse, away: ServerUnavailableError, account: AzureMLError
    ) -> ServerUnavailableError:
        error = away.explaining(account, self._moves.how_to_wait(step_run))
        UNCAUGHT.show(error)
        return error

    def _status(self, step_run: StepRunResponse) -> ExecutionStatus:
        try:
            return self._background.status(step_run.id) or self._status_of_job(step_run)
        except ServerUnavailableError:
            raise
        except (RunInterruptedException, RunStoppedException) as stop:
            self._guard.release(step_run.id)
            work = partial(self._publish_stop, step_run, AzureMLError(str(stop)))
            return self._background.start(step_run.id, work, ExecutionStatus.RUNNING)
        except AzureMLError as error:
            return self._give_up(step_run, error)

    def _status_of_job(self, step_run: StepRunResponse) -> ExecutionStatus:
        job = self._watch(step_run)
        if job.settled:
            return self._background.start(step_run.id, partial(self._finish, step_run, job), ExecutionStatus.RUNNING)
        if self._ending.cannot_end(step_run):
            reason = AzureMLError(f"The run was stopped, but the Azure ML job `{job.name}` could not be cancelled.")
            work = partial(self._publish_stop, step_run, reason)
            return self._background.start(step_run.id, work, ExecutionStatus.RUNNING)
        # Only runners of dynamic pipelines poll; this one may continue a run that another process started.
        self._guard.take(step_run, dynamic=True)
        if self._moves.waits_too_long(step_run, job):
            late = self._moves.last_wait(step_run, job)
            if late is not None:
                return self._give_up(step_run, late)
            return self._background.start(
                step_run.id, partial(self._end_waiting, step_run, job), ExecutionStatus.PROVISIONING
            )
        return status_of(job)

    def _finish(self, step_run: StepRunResponse, job: JobHandle) -> ExecutionStatus | None:
        """Conclude a step whose job has ended and return its status, or resubmit it and return None."""
        retries = self.retries(step_run, STOP_SIGNALS.checker())
        with retrying(retries):
            try:
                reason = None if self._ending.why(step_run) else self._moves.reason(step_run, job)
                if reason is not None:
                    self._guard.take(step_run, dynamic=True)
                    self._move(step_run, job, reason)
                    return None
            except ServerUnavailableError as away:
                raise self.unreported(step_run, away) from None
            self._guard.release(step_run.id)
            self._note_if_ended(step_run, job)
            self._drop_secret(step_run, in_background=True)
            if (error := self._conclude(step_run, job, retries)) is not None:
                if job.error is not None:  # its job may still run, and ZenML shows the error of one step only
                    logger.error("%s", error)
                stopped = status_of(job) is ExecutionStatus.STOPPED
                return ExecutionStatus.STOPPED if stopped else ExecutionStatus.FAILED
            return status_of(job)

    def _end_waiting(self, step_run: StepRunResponse, job: JobHandle) -> None:
        with retrying(self.retries(step_run, STOP_SIGNALS.checker())):
            try:
                self._moves.end_waiting(step_run, job)
            except ServerUnavailableError as away:
                raise self.unreported(step_run, away) from None

    def _conclude(self, step_run: StepRunResponse, job: JobHandle, retries: ServerRetries) -> AzureMLError | None:
        """Publish the end of a step whose last job has ended; return why it did not succeed, or None if it did."""
        try:
            because = self._ending.why(step_run)
            return conclude(job, step_run, because=because, history=self._moves.finish(step_run, job))
        except ServerUnavailableError as away:
            raise self.unreported(step_run, away) from None
        except (KeyboardInterrupt, SystemExit, RunInterruptedException):
            if retries.failing:
                interrupted = ServerUnavailableError("ZenML's server is unavailable.")
                logger.error("%s", self.unreported(step_run, interrupted))
            raise

    def _wait_for_job(self, step_run: StepRunResponse, check_interruption: Callable[[], None]) -> JobHandle:
        """Wait for the newest job of a step, and return it."""
        job = self._watch(step_run)
        while not job.wait(STOP_CHECK_INTERVAL):
            check_interruption()
            if self._moves.waits_too_long(step_run, job):
                late = self._moves.last_wait(step_run, job)
                if late is not None:
                    self.end(step_run)  # first: the job may start while the server is unavailable
                    raise self.publish_failure(step_run, late)
                self._moves.end_waiting(step_run, job)
            self.check_not_stopping(step_run)
        return job

    def _submit_again(
        self, step_run: StepRunResponse, job: JobHandle, reason: RetryReason, check_interruption: Callable[[], None]
    ) -> None:
        """Resubmit a step that a caller waits for."""
        check_ending = self._ending.checker(step_run.pipeline_run_id, step_run.id)

        def check() -> None:
            check_interruption()
            check_ending()
            self.check_not_stopping(step_run)

        try:
            self._moves.submit_again(step_run, job, reason, check)
        except ServerUnavailableError:
            raise
        except AzureMLError as error:
            raise self.publish_failure(step_run, error) from error.__cause__
        check()

    def _move(self, step_run: StepRunResponse, job: JobHandle, reason: RetryReason) -> None:
        """Resubmit a step that no caller waits for."""
        check = self._ending.checker(step_run.pipeline_run_id, step_run.id)
        self._moves.submit_again(step_run, job, reason, check)
        self._watch(step_run)  # no caller waits for it, but its log is to be shown
        self._ending.end_if_interrupted(step_run, check)

    def _note_if_ended(self, step_run: StepRunResponse, job: JobHandle) -> None:
        if job.error is None and job.phase.ended:  # one that the operator gave up may still run
            self._note_end(step_run)

    def check_not_stopping(self, step_run: StepRunResponse) -> None:
        """Raise if the run of a step was stopped.

        Raises:
            RunStoppedException: If the run was stopped.
        """
        if self._stop_checks.is_stopping(step_run.pipeline_run_id):
            raise RunStoppedException("The pipeline run was stopped.")

    def _give_up(self, step_run: StepRunResponse, error: AzureMLError) -> ExecutionStatus:
        """Fail a step of a dynamic pipeline after its newest job, if there is one, was cancelled."""
        return self._background.start(step_run.id, partial(self._fail, step_run, error), ExecutionStatus.RUNNING)

    def _fail(self, step_run: StepRunResponse, error: AzureMLError) -> ExecutionStatus:
        self.end(step_run)
        with retrying(self.retries(step_run, STOP_SIGNALS.checker())):
            published = self.publish_failure(step_run, error)
        if isinstance(published, ServerUnavailableError):
            raise published
        return ExecutionStatus.FAILED

    def _publish_stop(self, step_run: StepRunResponse, reason: AzureMLError) -> ExecutionStatus:
        self.publish_stopped(step_run, reason)
        return ExecutionStatus.STOPPED
