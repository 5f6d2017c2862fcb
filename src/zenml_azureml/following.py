"""Follows steps to their ends, through all of their jobs: for those who wait, and for those who ask now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunInterruptedException, RunStoppedException

from zenml_azureml import step_runs
from zenml_azureml.background import Background
from zenml_azureml.failures import AzureMLError
from zenml_azureml.interruptions import INTERRUPTIONS
from zenml_azureml.outcome import conclude, ended_itself, status_of
from zenml_azureml.stop_checks import STOP_CHECK_INTERVAL, StopChecks
from zenml_azureml.timing import Time

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.ending import Ending
    from zenml_azureml.guard import JobGuard
    from zenml_azureml.moves import Reason
    from zenml_azureml.moving import Moves
    from zenml_azureml.workspace.watched_job import WatchedJob


class DropSecret(Protocol):
    """Deletes what a step run has in a key vault."""

    def __call__(self, step_run: StepRunResponse, *, in_background: bool = False) -> None:
        """Delete it; on a thread of its own, where nobody is to wait for that."""


class Following:
    """Follows the steps of one operator. Thread-safe, as each of its parts is.

    Args:
        moves: Submits steps again.
        ending: Ends jobs.
        guard: Has the jobs that nobody waits for.
        watch: The newest job of a step run, watched from now on.
        drop_secret: Deletes what a step run has in a key vault.
        time: Where the time comes from.
        note_end: Called when the last job of a step has been seen to end.
    """

    def __init__(
        self,
        moves: Moves,
        ending: Ending,
        guard: JobGuard,
        watch: Callable[[StepRunResponse], WatchedJob],
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
        self._stop_checks = StopChecks(time)
        self._background = Background()

    def status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """The step's status, as its newest job shows it. Waits for no answer of Azure's."""
        try:
            if self._background.going_on(step_run.id):
                return ExecutionStatus.PROVISIONING
        except (RunInterruptedException, RunStoppedException) as stop:
            self._guard.release(step_run.id)
            step_runs.publish_stopped(step_run, AzureMLError(str(stop)))
            return ExecutionStatus.STOPPED
        except AzureMLError as error:
            return self._give_up(step_run, error)
        job = self._watch(step_run)
        if job.settled:
            return self._status_at_end(step_run, job)
        # Only runners of dynamic pipelines ask; this one may go on with a run that another process began.
        self._guard.take(step_run, dynamic=True)
        if self._moves.waits_too_long(step_run, job):
            late = self._moves.last_wait(step_run, job)
            if late is not None:
                return self._give_up(step_run, late)
            self._background.start(step_run.id, partial(self._moves.end_waiting, step_run, job))
        return status_of(job)

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the end of a step, and end its job if the waiting ends before it.

        Raises:
            AzureMLError: If the step failed: what failed, Azure's words, the end of the log, the link.
            RunStoppedException: If somebody stopped the run.
        """
        INTERRUPTIONS.notice()
        check_interruption = INTERRUPTIONS.checker()
        try:
            self._guard.take(step_run, until_exit=True)  # from now on it is waited for
            job = self._wait_for_job(step_run, check_interruption)
            while (reason := self._moves.reason(step_run, job)) is not None:
                self._submit_again(step_run, job, reason, check_interruption)
                job = self._wait_for_job(step_run, check_interruption)
            self._drop_secret(step_run)
        except BaseException as interruption:
            self._ending.note_interruption(interruption, step_run.pipeline_run_id)
            self.end(step_run)
            if isinstance(interruption, RunStoppedException):
                step_runs.publish_stopped(step_run)
            raise
        self._guard.release(step_run.id)
        self._note_if_ended(step_run, job)
        error = conclude(job, step_run, history=self._moves.finish(step_run, job))
        if error is not None and ended_itself(job):
            raise RunStoppedException(str(error)) from error  # which ZenML does not retry
        if error is not None:
            raise error
        return status_of(job)

    def end(self, step_run: StepRunResponse, *, look_for: timedelta = timedelta()) -> None:
        """Cancel the job of a step, and see that it ends.

        Args:
            step_run: The step run.
            look_for: How long its job may take to appear.
        """
        self._guard.take(step_run, until_exit=True)  # to do it at exit, if a second Ctrl+C comes
        self._ending.end([step_run], look_for=look_for, then=lambda: self._guard.release(step_run.id))

    def _status_at_end(self, step_run: StepRunResponse, job: WatchedJob) -> ExecutionStatus:
        because = self._ending.why(step_run)
        reason = None if because else self._moves.reason(step_run, job)
        if reason is not None:
            self._guard.take(step_run, dynamic=True)
            self._background.start(step_run.id, partial(self._move, step_run, job, reason))
            return ExecutionStatus.PROVISIONING
        self._guard.release(step_run.id)
        self._note_if_ended(step_run, job)
        self._drop_secret(step_run, in_background=True)
        if conclude(job, step_run, because=because, history=self._moves.finish(step_run, job)) is not None:
            stopped = status_of(job) is ExecutionStatus.STOPPED
            return ExecutionStatus.STOPPED if stopped else ExecutionStatus.FAILED
        return status_of(job)

    def _wait_for_job(self, step_run: StepRunResponse, check_interruption: Callable[[], None]) -> WatchedJob:
        """The newest job of a step, which has ended."""
        job = self._watch(step_run)
        while not job.wait(STOP_CHECK_INTERVAL):
            check_interruption()
            if self._moves.waits_too_long(step_run, job):
                late = self._moves.last_wait(step_run, job)
                if late is not None:
                    step_runs.publish_failure(step_run, late)
                    raise late
                self._moves.end_waiting(step_run, job)
            self.check_not_stopping(step_run)
        return job

    def _submit_again(
        self, step_run: StepRunResponse, job: WatchedJob, reason: Reason, check_interruption: Callable[[], None]
    ) -> None:
        """Submit a step again that is waited for."""
        check_ending = self._ending.checker(step_run.pipeline_run_id, step_run.id)

        def check() -> None:
            check_interruption()
            check_ending()
            self.check_not_stopping(step_run)

        try:
            self._moves.submit_again(step_run, job, reason, check)
        except AzureMLError as error:
            step_runs.publish_failure(step_run, error)
            raise
        check()

    def _move(self, step_run: StepRunResponse, job: WatchedJob, reason: Reason) -> None:
        """Submit a step again that nobody waits for."""
        check = self._ending.checker(step_run.pipeline_run_id, step_run.id)
        self._moves.submit_again(step_run, job, reason, check)
        self._watch(step_run)  # nobody waits for it, and its log is wanted all the same
        self._ending.end_if_interrupted(step_run, check)

    def _note_if_ended(self, step_run: StepRunResponse, job: WatchedJob) -> None:
        if job.error is None and job.phase.ended:  # one that was given up may still run
            self._note_end(step_run)

    def check_not_stopping(self, step_run: StepRunResponse) -> None:
        """Do nothing, unless the run of a step was stopped.

        Raises:
            RunStoppedException: If it was.
        """
        if self._stop_checks.is_stopping(step_run.pipeline_run_id):
            raise RunStoppedException("The pipeline run was stopped.")

    def _give_up(self, step_run: StepRunResponse, error: AzureMLError) -> ExecutionStatus:
        """Let a step fail that nobody waits for; its newest job, should there be one, is ended."""
        # Not a daemon: the process does not end before the job is cancelled.
        threading.Thread(target=self.end, args=[step_run], name="zenml-azureml-job-end").start()
        step_runs.publish_failure(step_run, error)
        return ExecutionStatus.FAILED
