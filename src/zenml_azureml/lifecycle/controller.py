"""The controller of steps: it observes their jobs, and has the actions carried out that follow.

A caller that waits for a step carries out the actions on its own thread. For a caller that polls, a pool of threads
does. That is the only difference between the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunInterruptedException, RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.azure.jobs.status import FINALIZING, JobPhase
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.action_executor import ActionExecutor
from zenml_azureml.lifecycle.canceller import PROCESS_ENDED
from zenml_azureml.lifecycle.execution import INTERRUPTED, Guard, StepExecution
from zenml_azureml.lifecycle.holding import Holds
from zenml_azureml.lifecycle.observation import PHASES, event_of, event_of_end
from zenml_azureml.lifecycle.outcome import StoppedStepError, status_of
from zenml_azureml.lifecycle.state import (
    CancelHadNoEffect,
    CancelRefused,
    Event,
    GiveUp,
    QueueTimedOut,
    StepPhase,
    StopRequested,
    SubmitStopped,
)
from zenml_azureml.lifecycle.step_checks import STOP_CHECK_INTERVAL
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.transitions import transition
from zenml_azureml.lifecycle.worker_pool import WorkerPool
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import Check, ServerRetries, ServerUnavailableError, ask_or, retrying

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.handle import JobHandle

logger = get_logger(__name__)

#: The status of a step in each phase in which its job does not show it.
_STATUS = {phase: status for status, phase in PHASES.items()}


class StepController:
    """The controller of one operator's steps: it observes their jobs, and has the actions carried out that follow.

    Thread-safe, as the executor is.

    Args:
        executor: Carries out the actions.
    """

    def __init__(self, executor: ActionExecutor) -> None:
        self._executor = executor
        self._executions = executor.executions
        self._jobs = executor.jobs
        self._publisher = executor.publisher
        self._checks = executor.checks
        self._time = executor.time
        self._pool = WorkerPool(executor.time)
        self._holds = Holds(executor.time)

    def wait(self, step: StepExecution) -> ExecutionStatus:
        """Wait for the end of a step and return its status; cancel its job if the wait is interrupted.

        Raises:
            AzureMLError: If the step failed. It has the cause, Azure's message, the end of the log and the link.
            RunStoppedException: If the run or its job was stopped.
        """
        check_signals = STOP_SIGNALS.checker()
        retries = self._checks.server_retries(step, check_signals)
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
        if job.phase.ended or job.status == FINALIZING:
            return
        # If the server is unavailable, one cancelled job too many is better than one that keeps running.
        if ask_or(False, "looking up the status of a step", lambda: step_runs.has_reported(step.step_run)):
            return
        self._executor.apply(step, StopRequested(reason))
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
            self._executor.apply(step, StopRequested(reason))
        self._executor.canceller.end_unless_finishing(steps, interrupted=reason == INTERRUPTED)
        if reason == PROCESS_ENDED:  # before that, ZenML polls the steps, and each end is published
            self._publisher.stop_all(steps)

    def _follow(self, step: StepExecution, check_signals: Check) -> None:
        """Wait for the next event of a step, and carry out what follows from it."""
        job = self._jobs.watch(step)
        if job.wait(STOP_CHECK_INTERVAL):
            self._carry_out(step, None, polled=False)
            return
        check_signals()
        if self._is_held(step, job):
            return
        event = event_of(step, job, self._time.monotonic())
        if event is not None:
            self._carry_out(step, event, polled=False)
        self._checks.check_run(step)

    def _polled(self, step: StepExecution) -> ExecutionStatus:
        work = step.work
        if work is not None:
            if not work.future.done():
                return work.meanwhile
            step.work = None
            work.future.result()  # raises the error of the work, if it has failed
        if step.state.phase.is_final:
            return _STATUS[step.state.phase]
        job = self._jobs.watch(step)
        if job.settled:
            return self._start(step, None, ExecutionStatus.RUNNING)
        # Only runners of dynamic pipelines poll; this one may continue a run that another process started.
        step.guard = Guard.RUN
        if self._is_held(step, job):
            return ExecutionStatus.RUNNING
        event = event_of(step, job, self._time.monotonic())
        if step.is_refused and step.run_id in self._executions.stopped_runs:
            event = CancelRefused(
                AzureMLError(f"The run was stopped, but the Azure ML job `{job.name}` could not be cancelled.")
            )
        if event is not None and transition(step.state, event, step.limits)[1]:
            is_moved = isinstance(event, (QueueTimedOut, CancelHadNoEffect))
            return self._start(step, event, ExecutionStatus.PROVISIONING if is_moved else ExecutionStatus.RUNNING)
        if event is not None:
            self._executor.apply(step, event)
        return status_of(job)

    def _is_held(self, step: StepExecution, job: JobHandle) -> bool:
        """True if the job of a step is held open, so that it counts as ended as soon as its log is read."""
        if job.held_until is None and job.phase is JobPhase.RUNNING and step.cancelling is None:
            job.held_until = self._holds.until(step)
            step.is_held = job.held_until is not None
        return job.held_until is not None

    def _start(self, step: StepExecution, event: Event | None, meanwhile: ExecutionStatus) -> ExecutionStatus:
        """Carry out what follows from an event on another thread; return the step's status."""

        def work() -> None:
            with retrying(self._checks.server_retries(step, STOP_SIGNALS.checker())):
                self._carry_out(step, event, polled=True)

        step.work = self._pool.start(work, meanwhile)
        if step.work.future.done():
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
            self._executor.advance(step, event, polled=polled)
        except ServerUnavailableError as away:
            raise self._publisher.unreported(step, away) from None
        except AzureMLError as error:
            self._executor.advance(step, GiveUp(error), polled=polled)
        except (RunInterruptedException, RunStoppedException) as stop:
            if not polled:
                raise
            self._executor.advance(step, SubmitStopped(AzureMLError(str(stop))), polled=polled)

    def _abort_wait(self, step: StepExecution, interruption: BaseException, retries: ServerRetries) -> None:
        """Cancel the job of a step because an exception ends the wait, and say what the server does not know."""
        # During a submission, the newest job may be the one before, which has ended.
        job = self._jobs.watch(step, quietly=True)
        is_over = step.state.phase is not StepPhase.SUBMITTING and (job.settled or step.is_held)
        if not is_over:
            self._executor.abort(step, interruption)
        if isinstance(interruption, RunStoppedException) and not is_over:
            self._publisher.stop(step)
        elif is_over and retries.failing and not isinstance(interruption, ServerUnavailableError):  # it says so itself
            unavailable = ServerUnavailableError("ZenML's server is unavailable.")
            logger.error("%s", self._publisher.unreported(step, unavailable))
