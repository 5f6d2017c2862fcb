"""The controller of steps: it observes their jobs, and carries out what the transitions of their states require.

A caller that waits for a step carries out the actions on its own thread. For a caller that polls, a pool of threads
does. That is the only difference between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunInterruptedException, RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.azure.jobs.status import FINALIZING
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import INTERRUPTED, PROCESS_ENDED, SUBMIT_LAG, Canceller
from zenml_azureml.lifecycle.execution import Executions, Guard, StepExecution
from zenml_azureml.lifecycle.observation import event_of, event_of_end
from zenml_azureml.lifecycle.outcome import StoppedStepError, status_of
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.state import (
    Action,
    CancelHadNoEffect,
    CancelRefused,
    Event,
    GiveUp,
    JobAccepted,
    JobEnded,
    JobOver,
    NoCapacity,
    QueueTimedOut,
    StepPhase,
    StepState,
    StopRequested,
    SubmitStopped,
)
from zenml_azureml.lifecycle.stop_checks import STOP_CHECK_INTERVAL, StopChecks
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.submitter import Check, Request, StepSubmitter, first_request
from zenml_azureml.lifecycle.transitions import target_after, transition
from zenml_azureml.lifecycle.worker_pool import WorkerPool
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerRetries, ServerUnavailableError, retrying

if TYPE_CHECKING:
    from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs
    from zenml_azureml.specs.job import JobOptions, JobSpec

logger = get_logger(__name__)

#: The status of a step in each phase in which its job does not show it.
_STATUS = {
    StepPhase.SUCCEEDED: ExecutionStatus.COMPLETED,
    StepPhase.FAILED: ExecutionStatus.FAILED,
    StepPhase.STOPPED: ExecutionStatus.STOPPED,
}


class StepController:
    """Controls the steps of one operator.

    Thread-safe: a step's state is replaced under its lock, and one thread at a time carries out its actions.

    Args:
        executions: The steps.
        jobs: Their jobs.
        submitter: Submits jobs.
        canceller: Cancels jobs.
        publisher: Publishes the ends of steps.
        earlier_jobs: Remembers which step runs have no unfinished job.
        time: The clock.
    """

    def __init__(  # noqa: PLR0917 - its parts
        self,
        executions: Executions,
        jobs: AzureJobs,
        submitter: StepSubmitter,
        canceller: Canceller,
        publisher: Publisher,
        earlier_jobs: EarlierJobs,
        time: Time,
    ) -> None:
        self._executions = executions
        self._jobs = jobs
        self._submitter = submitter
        self._canceller = canceller
        self._publisher = publisher
        self._earlier_jobs = earlier_jobs
        self._time = time
        self._stop_checks = StopChecks(time)
        self._pool = WorkerPool(time)

    def submit(self, step: StepExecution, build: Callable[[JobOptions], JobSpec], check: Check, before: Check) -> None:
        """Submit a step for the first time, to its first target that has capacity.

        Args:
            step: The step.
            build: Returns its job with the options of a target.
            check: Ends the submission by raising.
            before: Called right before a job is sent; ends the submission by raising.

        Raises:
            AzureMLError: If the step cannot be submitted. The reason is published if Azure has refused the step.
        """
        with step.lock:
            if step.state.phase is not StepPhase.CANCELLING:
                step.state = replace(step.state, phase=StepPhase.SUBMITTING)
        request = first_request(build, check, before)
        self._advance(step, self._submitter.submit(step, 0, request), request)
        if step.state.phase is StepPhase.FAILED and step.state.error is not None:
            raise step.state.error

    def wait(self, step: StepExecution) -> ExecutionStatus:
        """Wait for the end of a step and return its status; cancel its job if the wait is interrupted.

        Raises:
            AzureMLError: If the step failed. It has the cause, Azure's message, the end of the log and the link.
            RunStoppedException: If the run or its job was stopped.
        """
        check_signals = STOP_SIGNALS.checker()
        retries = self.retries(step, check_signals)
        with retrying(retries):
            try:
                while not step.state.phase.is_final:
                    self._follow(step, check_signals)
            except BaseException as interruption:
                self._abort_wait(step, interruption, retries)
                raise
        step.guard = Guard.NONE
        error = step.state.error
        if error is not None:
            raise error.as_kind(StoppedStepError) if step.state.phase is StepPhase.STOPPED else error
        return _STATUS[step.state.phase]

    def status(self, step: StepExecution) -> ExecutionStatus:
        """Return the step's status, as its newest job shows it, without waiting for Azure or ZenML's server."""
        try:
            return self._polled(step)
        except ServerUnavailableError as error:
            # After any other status, ZenML's runner makes a request to the server, which fails and ends the run. With
            # this one it polls again.
            if not step.has_warned:
                step.has_warned = True
                logger.error("%s", error)
            return ExecutionStatus.RUNNING

    def cancel(self, step: StepExecution, reason: str) -> None:
        """Cancel one job, and return.

        Leaves the job alone if its step has reported its end, or if the job has ended or is finalizing.

        Args:
            step: The step.
            reason: The reason, as a clause.

        Raises:
            AzureMLError: If Azure refuses. The message has the command that cancels the job.
        """
        job = self._jobs.watch(step, quietly=True)
        if job.phase.ended or job.status == FINALIZING or _has_reported(step):
            return
        self._apply(step, StopRequested(reason))
        self._jobs.cancel(step)

    def stop(self, steps: Iterable[StepExecution], reason: str) -> None:
        """Cancel the jobs of steps, since their runs or the process are over. Never raises.

        Args:
            steps: The steps.
            reason: The reason, as a clause.
        """
        steps = list(steps)
        self._executions.stop(steps, reason)
        for step in steps:
            self._apply(step, StopRequested(reason))
        self._canceller.end_unless_finishing(steps, interrupted=reason == INTERRUPTED)
        if reason == PROCESS_ENDED:  # before that, ZenML polls the steps, and each end is published
            self._publisher.stop_all(steps)

    def abort_submission(self, step: StepExecution, interruption: BaseException) -> None:
        """Cancel the job of an interrupted submission, which may still appear."""
        self._abort(step, interruption, look_for=SUBMIT_LAG)

    def note_interruption(self, step: StepExecution, interruption: BaseException) -> None:
        """Allow no further job of a step's run if an exception means that the process was interrupted."""
        if isinstance(interruption, (KeyboardInterrupt, SystemExit, RunInterruptedException)):
            self._executions.stopped_runs.setdefault(step.run_id, INTERRUPTED)

    def fail(self, step: StepExecution, error: AzureMLError) -> AzureMLError:
        """Publish why a step could not be submitted, unless that was done; return the error to raise."""
        if step.state.phase is StepPhase.FAILED:
            return error
        return self._publisher.failure(step, error)

    def unreported(self, step: StepExecution, away: ServerUnavailableError) -> ServerUnavailableError:
        """Return the error for a step whose end the server does not know; see `Publisher.unreported`."""
        return self._publisher.unreported(step, away)

    def clean_up(self, step: StepExecution) -> None:
        """Forget a step that is over. An interrupted cancellation of its job is repeated at exit.

        Raises:
            AzureMLError: If a compute cannot be deleted. The message has the command that deletes it.
        """
        if step.guard is not Guard.EXIT:
            step.guard = Guard.NONE
        self._jobs.drop_secret(step)
        try:
            self._jobs.release(step)
        finally:
            if step.guard is Guard.NONE:  # otherwise the name of its job is needed at exit
                self._executions.forget(step.id)

    def publish_stopped(self, step: StepExecution, reason: AzureMLError | None = None) -> None:
        """Publish that a step was stopped; log how to repair the state if the server is unavailable."""
        self._publisher.stop(step, reason, interrupted=self._executions.why_stopped(step) == INTERRUPTED)

    def retries(self, step: StepExecution, check: Check) -> ServerRetries:
        """Return the time for which requests to ZenML's server are retried for a step.

        Args:
            step: The step.
            check: Ends the retries by raising, after a signal.
        """
        timeout = step.plan.unreachable_timeout
        return ServerRetries(timeout, self._time, check, lambda: self.check_not_stopping(step))

    def check_not_stopping(self, step: StepExecution) -> None:
        """Raise if the run of a step was stopped.

        Raises:
            RunStoppedException: If the run was stopped.
        """
        if self._stop_checks.is_stopping(step.run_id):
            raise RunStoppedException("The pipeline run was stopped.")

    def checker(self, step: StepExecution) -> Check:
        """Return a function that raises if no further job of a step may be submitted.

        Returns:
            A function that raises `RunStoppedException` or `RunInterruptedException`.
        """
        check_signals = STOP_SIGNALS.checker()

        def check() -> None:
            check_signals()
            reason = self._executions.why_stopped(step)
            if reason:
                # After any other exception, ZenML would retry the step.
                raise RunStoppedException(f"The step is not submitted: {reason}.")

        return check

    def _follow(self, step: StepExecution, check_signals: Check) -> None:
        """Wait for the next event of a step, and carry out what follows from it."""
        job = self._jobs.watch(step)
        if job.wait(STOP_CHECK_INTERVAL):
            self._carry_out(step, None, polled=False)
            return
        check_signals()
        event = event_of(step, job, self._time.monotonic())
        if event is not None:
            self._carry_out(step, event, polled=False)
        self.check_not_stopping(step)

    def _polled(self, step: StepExecution) -> ExecutionStatus:
        work, step.work = step.work, None
        if work is not None and not work.is_done:
            step.work = work
            return work.meanwhile
        if work is not None:
            work.raise_error()
        if step.state.phase.is_final:
            return _STATUS[step.state.phase]
        job = self._jobs.watch(step)
        if job.settled:
            return self._start(step, None, ExecutionStatus.RUNNING)
        # Only runners of dynamic pipelines poll; this one may continue a run that another process started.
        step.guard = Guard.RUN
        event = event_of(step, job, self._time.monotonic())
        if step.is_refused and step.run_id in self._executions.stopped_runs:
            event = CancelRefused(
                AzureMLError(f"The run was stopped, but the Azure ML job `{job.name}` could not be cancelled.")
            )
        if event is not None and transition(step.state, event, step.limits)[1]:
            is_moved = isinstance(event, (QueueTimedOut, CancelHadNoEffect))
            return self._start(step, event, ExecutionStatus.PROVISIONING if is_moved else ExecutionStatus.RUNNING)
        if event is not None:
            self._apply(step, event)
        return status_of(job)

    def _start(self, step: StepExecution, event: Event | None, meanwhile: ExecutionStatus) -> ExecutionStatus:
        """Carry out what follows from an event on another thread; return the step's status."""

        def work() -> None:
            with retrying(self.retries(step, STOP_SIGNALS.checker())):
                self._carry_out(step, event, polled=True)

        step.work = self._pool.start(work, meanwhile)
        if step.work.is_done:
            return self._polled(step)
        return meanwhile

    def _carry_out(self, step: StepExecution, event: Event | None, *, polled: bool) -> None:
        """Carry out what follows from an event, or from the end of the job without one; give up if that fails.

        Args:
            step: The step.
            event: The event; None for the end of the job.
            polled: True if no caller waits for this.
        """
        try:
            if event is None:
                stopped = bool(self._executions.why_stopped(step))
                event = event_of_end(step, self._jobs.watch(step), is_stopped=stopped)
            self._advance(step, event, polled=polled)
        except ServerUnavailableError as away:
            raise self._publisher.unreported(step, away) from None
        except AzureMLError as error:
            self._advance(step, GiveUp(error), polled=polled)
        except (RunInterruptedException, RunStoppedException) as stop:
            if not polled:
                raise
            self._advance(step, SubmitStopped(AzureMLError(str(stop))), polled=polled)

    def _advance(
        self, step: StepExecution, event: Event, request: Request | None = None, *, polled: bool = False
    ) -> None:
        """Apply an event, carry out the actions, and go on with the events that they cause."""
        following: Event | None = event
        while following is not None:
            event, following = following, None
            before, after, actions = self._apply(step, event)
            for action in actions:
                if action is not Action.SUBMIT:
                    following = self._perform_or_restore(step, action, event, before, polled) or following
                    continue
                if isinstance(event, JobEnded) or request is None:
                    request = self._submitter.next_request(step, self._checker_while_waiting(step))
                target = target_after(before, event, step.limits)
                assert target is not None  # noqa: S101 - the transition has checked that there is one
                if isinstance(event, NoCapacity):
                    says = event.attempt.says
                    logger.warning("No capacity for step `%s`; trying fallback %d: %s", step.name, target, says)
                following = self._submitter.submit(step, target, request)
            if after.phase.is_final:
                self._finish(step, after.phase)
            reason = self._executions.why_stopped(step)
            if isinstance(event, JobAccepted) and reason and not actions:
                following = StopRequested(reason)  # the run was stopped during the submission

    def _finish(self, step: StepExecution, phase: StepPhase) -> None:
        with step.lock:
            if phase is StepPhase.SUCCEEDED and step.state.error is not None:
                phase = StepPhase.FAILED  # its job has completed, but its code has not reported the end
            step.state = replace(step.state, phase=phase)

    def _apply(self, step: StepExecution, event: Event) -> tuple[StepState, StepState, tuple[Action, ...]]:
        """Replace the state of a step; return the states before and after the event, and the actions."""
        with step.lock:
            before = step.state
            after, actions = transition(before, event, step.limits)
            # A step is over when its end is published.
            step.state = replace(after, phase=before.phase) if after.phase.is_final else after
            return before, after, actions

    def _perform_or_restore(
        self, step: StepExecution, action: Action, event: Event, before: StepState, polled: bool
    ) -> Event | None:
        applied = step.state
        try:
            return self._perform(step, action, event, polled)
        except ServerUnavailableError:
            with step.lock:
                if step.state is applied:
                    step.state = before  # so that the event comes again
            raise

    def _perform(self, step: StepExecution, action: Action, event: Event, polled: bool) -> Event | None:
        if action is Action.SAVE_ATTEMPTS:
            seconds = self._jobs.watch(step).waited.total_seconds()
            logger.warning("Azure ML job `%s` was still queued after %.0f s; cancelling it.", step.job_name, seconds)
            self._publisher.save_attempts(step)  # before the cancel: another process that finds the job needs it
        elif action is Action.CANCEL:
            step.cancelled_at = self._time.monotonic()
            self._jobs.cancel(step)
        elif action is Action.END_JOB:
            self._canceller.end([step])
            return JobOver() if step.state.phase is StepPhase.GIVING_UP else None
        elif action is Action.RELEASE_PREVIOUS and isinstance(event, JobEnded):
            self._release(step, event.attempt.job)
        elif action is Action.CONCLUDE:
            self._conclude(step, polled)
        elif action is Action.FAIL and step.state.error is not None:
            self._set_error(step, self._publisher.failure(step, step.state.error))
        elif action is Action.PUBLISH_STOPPED:
            step.guard = Guard.NONE
            self.publish_stopped(step, step.state.error)
        return None

    def _conclude(self, step: StepExecution, polled: bool) -> None:
        """Save the cost of a step whose last job has ended, and publish its end."""
        job = self._jobs.watch(step)
        self._jobs.drop_secret(step, in_background=polled)
        if not polled:
            step.guard = Guard.NONE
        error = self._publisher.conclude(step, job)
        if error is not None and job.error is not None and polled:
            logger.error("%s", error)  # its job may still run, and ZenML shows the error of one step only
        step.guard = Guard.NONE
        if job.error is None and job.phase.ended:  # one that was given up may still run
            self._earlier_jobs.note_end(step.step_run)
        self._set_error(step, error)

    def _release(self, step: StepExecution, job_name: str) -> None:
        try:
            self._jobs.workspace(step).release(job_name)
        except AzureMLError as error:
            logger.warning("%s", error)

    def _set_error(self, step: StepExecution, error: AzureMLError | None) -> None:
        if isinstance(error, ServerUnavailableError):
            raise error
        with step.lock:
            step.state = replace(step.state, error=error)

    def _abort_wait(self, step: StepExecution, interruption: BaseException, retries: ServerRetries) -> None:
        """Cancel the job of a step because an exception ends the wait; raise a better exception if there is one."""
        # During a submission, the newest job may be the one before, which has ended.
        is_over = step.state.phase is not StepPhase.SUBMITTING and self._jobs.watch(step, quietly=True).settled
        if not is_over:
            self._abort(step, interruption)
        if isinstance(interruption, ServerUnavailableError):
            raise self._publisher.unreported(step, interruption) from None
        if isinstance(interruption, RunStoppedException) and not is_over:
            self.publish_stopped(step)
        elif is_over and retries.failing:
            unavailable = ServerUnavailableError("ZenML's server is unavailable.")
            logger.error("%s", self._publisher.unreported(step, unavailable))

    def _abort(self, step: StepExecution, interruption: BaseException, *, look_for: timedelta = timedelta()) -> None:
        self.note_interruption(step, interruption)
        self._apply(step, StopRequested(self._executions.stopped_runs.get(step.run_id, "")))
        self._canceller.end([step], look_for=look_for)

    def _checker_while_waiting(self, step: StepExecution) -> Check:
        check_step = self.checker(step)

        def check() -> None:
            check_step()
            self.check_not_stopping(step)

        return check


def _has_reported(step: StepExecution) -> bool:
    """True if a step run has reported its end; False if the server is unavailable."""
    try:
        return step_runs.has_reported(step.step_run)
    except Exception as error:  # noqa: BLE001 - one cancelled job too many is better than one that keeps running
        logger.debug("Could not get the status of the step: %s", error)
        return False
