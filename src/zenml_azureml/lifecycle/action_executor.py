"""The executor of the actions that follow from the states of steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.logger import get_logger

from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import Canceller
from zenml_azureml.lifecycle.execution import Executions, Guard, StepExecution
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.state import (
    Action,
    Event,
    JobAccepted,
    JobEnded,
    JobOver,
    NoCapacity,
    StepPhase,
    StepState,
    StopRequested,
)
from zenml_azureml.lifecycle.step_checks import StepChecks
from zenml_azureml.lifecycle.submitter import Request, StepSubmitter
from zenml_azureml.lifecycle.transitions import target_after, transition
from zenml_azureml.run_store.server_retries import ServerUnavailableError

if TYPE_CHECKING:
    from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs

logger = get_logger(__name__)


@dataclass(eq=False)
class ActionExecutor:
    """The executor of one operator: it applies events to the states of steps, and carries out the actions.

    Thread-safe: a step's state is replaced under its lock, and one thread at a time carries out its actions.

    Attributes:
        executions: The steps.
        jobs: Their jobs.
        submitter: Submits jobs.
        canceller: Cancels jobs.
        publisher: Publishes the ends of steps.
        earlier_jobs: Remembers which step runs have no unfinished job.
        checks: Checks whether a further job may be submitted.
        time: The clock.
    """

    executions: Executions
    jobs: AzureJobs
    submitter: StepSubmitter
    canceller: Canceller
    publisher: Publisher
    earlier_jobs: EarlierJobs
    checks: StepChecks
    time: Time

    def advance(
        self, step: StepExecution, event: Event, request: Request | None = None, *, polled: bool = False
    ) -> None:
        """Apply an event, carry out the actions, and go on with the events that they cause.

        Args:
            step: The step.
            event: The event.
            request: What the job that follows from the event is built from; None for one like the job before.
            polled: True if no caller waits for this.

        Raises:
            ServerUnavailableError: If ZenML's server is unavailable. The step is then as before, or over.
        """
        following: Event | None = event
        while following is not None:
            event, following = following, None
            before, after, actions = self.apply(step, event)
            for action in actions:
                if action is Action.SUBMIT:
                    if isinstance(event, JobEnded) or request is None:
                        check = self.checks.submission_check(step, ask_server=True)
                        request = self.submitter.next_request(step, check)
                    following = self._submit(step, event, before, request)
                else:
                    following = self._perform_or_restore(step, action, event, before, polled) or following
            if after.phase.is_final:
                self._finish(step, after.phase)
            reason = self.executions.why_stopped(step)
            if isinstance(event, JobAccepted) and reason and not actions:
                following = StopRequested(reason)  # the run was stopped during the submission

    def apply(self, step: StepExecution, event: Event) -> tuple[StepState, StepState, tuple[Action, ...]]:
        """Replace the state of a step; return the states before and after the event, and the actions."""
        with step.lock:
            before = step.state
            after, actions = transition(before, event, step.limits)
            # A step is over when its end is published.
            step.state = replace(after, phase=before.phase) if after.phase.is_final else after
            return before, after, actions

    def abort(self, step: StepExecution, interruption: BaseException, *, look_for: timedelta = timedelta()) -> None:
        """Cancel the job of a step because of an exception. Raises nothing of its own.

        Args:
            step: The step.
            interruption: The exception. If it means that the process was interrupted, the run gets no further job.
            look_for: Time for which the job may still appear.
        """
        self.executions.note_interruption(step, interruption)
        self.apply(step, StopRequested(self.executions.stopped_runs.get(step.run_id, "")))
        self.canceller.end([step], look_for=look_for)

    def clean_up(self, step: StepExecution) -> None:
        """Forget a step that is over. An interrupted cancellation of its job is repeated at exit.

        Raises:
            AzureMLError: If a compute cannot be deleted. The message has the command that deletes it.
        """
        if step.guard is not Guard.EXIT:
            step.guard = Guard.NONE
        try:
            if step.is_held:  # its secret and its compute are kept until it ends
                self.jobs.leave(step)
            else:
                self.jobs.drop_secret(step)
                self.jobs.release(step)
        finally:
            if step.guard is Guard.NONE:  # otherwise the name of its job is needed at exit
                self.executions.forget(step.id)

    def _submit(self, step: StepExecution, event: Event, before: StepState, request: Request) -> Event:
        target = target_after(before, event, step.limits)
        assert target is not None  # noqa: S101 - the transition has checked that there is one
        if isinstance(event, NoCapacity):
            says = event.attempt.says
            logger.warning("No capacity for step `%s`; trying fallback %d: %s", step.name, target, says)
        return self.submitter.submit(step, target, request)

    def _finish(self, step: StepExecution, phase: StepPhase) -> None:
        with step.lock:
            if phase is StepPhase.SUCCEEDED and step.state.error is not None:
                phase = StepPhase.FAILED  # its job has completed, but its code has not reported the end
            step.state = replace(step.state, phase=phase)

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
            seconds = self.jobs.watch(step).waited.total_seconds()
            logger.warning("Azure ML job `%s` was still queued after %.0f s; cancelling it.", step.job_name, seconds)
            self.publisher.save_attempts(step)  # before the cancel: another process that finds the job needs it
        elif action is Action.CANCEL:
            step.cancelled_at = self.time.monotonic()
            self.jobs.cancel(step)
        elif action is Action.END_JOB:
            self.canceller.end([step])
            return JobOver() if step.state.phase is StepPhase.GIVING_UP else None
        elif action is Action.RELEASE_PREVIOUS and isinstance(event, JobEnded):
            self.jobs.release_earlier(step, event.attempt.job)
        elif action is Action.CONCLUDE:
            self._conclude(step, polled)
        elif action is Action.FAIL and step.state.error is not None:
            self._set_error(step, self.publisher.failure(step, step.state.error))
        elif action is Action.PUBLISH_STOPPED:
            step.guard = Guard.NONE
            self.publisher.stop(step, step.state.error)
        return None

    def _conclude(self, step: StepExecution, polled: bool) -> None:
        """Save the cost of a step whose last job has ended, and publish its end."""
        job = self.jobs.watch(step)
        if job.held_until is None:
            self.jobs.drop_secret(step, in_background=polled)
        if not polled:
            step.guard = Guard.NONE
        error = self.publisher.conclude(step, job)
        if error is not None and job.error is not None and polled:
            logger.error("%s", error)  # its job may still run, and ZenML shows the error of one step only
        step.guard = Guard.NONE
        if job.error is None and job.is_over:  # one that was given up may still run
            step.is_held = step.is_held and not job.phase.ended
            self.earlier_jobs.note_end(step.step_run)
        self._set_error(step, error)

    def _set_error(self, step: StepExecution, error: AzureMLError | None) -> None:
        if isinstance(error, ServerUnavailableError):
            raise error
        with step.lock:
            step.state = replace(step.state, error=error)
