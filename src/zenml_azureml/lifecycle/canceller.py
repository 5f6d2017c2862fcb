"""Cancels jobs, waits for their end, and prevents further jobs of their runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.exceptions import RunInterruptedException, RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.azure.jobs.status import FINALIZING
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.handle import JobHandle

logger = get_logger(__name__)

INTERRUPTED = "the pipeline run was interrupted"

#: As above, for a process that ends with jobs that nothing waits for.
PROCESS_ENDED = "the process that ran the pipeline has ended"

#: Time to wait for Azure to confirm a cancel, before a warning.
CONFIRMATION = timedelta(seconds=60)

#: Time that a job gets to end after its step has reported its end: Azure needs some seconds for a job's last phase.
FINISHING = timedelta(seconds=30)

#: Interval at which to make sure that a cancelled job is still watched.
_LOOK_AGAIN = timedelta(seconds=1)

#: Time to look for the job of an interrupted submit: Azure may not have created it yet.
SUBMIT_LAG = timedelta(seconds=5)


class Canceller:
    """The cancellations of one operator, with their reasons.

    Thread-safe: entries of its tables are added and dropped one at a time, and a lock makes sure that only one of
    several threads cancels a job.

    Args:
        watch: Returns the watched job of a step run; must not show the log of a job that was watched before.
        workspace_of: Returns the workspace of a step run.
        time: The clock.
        job_name: Returns the name of a step run's newest job.
        drop_secret: Deletes the secret of a step run in a key vault.
    """

    def __init__(
        self,
        watch: Callable[[StepRunResponse], JobHandle],
        workspace_of: Callable[[StepRunResponse], Workspace],
        time: Time,
        job_name: Callable[[StepRunResponse], str] = step_runs.recorded_job_name,
        drop_secret: Callable[[StepRunResponse], None] = lambda _step_run: None,
    ) -> None:
        self._watch = watch
        self._workspace_of = workspace_of
        self._time = time
        self._job_name = job_name
        self._drop_secret = drop_secret
        self._runs: dict[UUID, str] = {}
        self._step_runs: dict[UUID, str] = {}
        #: Step runs whose jobs Azure did not cancel.
        self._refused: set[UUID] = set()
        self._lock = threading.Lock()
        #: Each with the event that is set when its job has ended.
        self._being_ended: dict[UUID, threading.Event] = {}

    def note_interruption(self, interruption: BaseException, run_id: UUID) -> None:
        """Prevent further jobs of a run if an exception means that the process was interrupted."""
        if isinstance(interruption, (KeyboardInterrupt, SystemExit, RunInterruptedException)):
            self._runs.setdefault(run_id, INTERRUPTED)

    def checker(self, run_id: UUID, step_run_id: UUID | None = None) -> Callable[[], None]:
        """Return a function that raises if no further job of a run may be submitted.

        Args:
            run_id: The run.
            step_run_id: The step run, if it has had a job before, which this operator may have cancelled.

        Returns:
            A function that raises `RunStoppedException` or `RunInterruptedException`.
        """
        check_interruption = STOP_SIGNALS.checker()

        def check() -> None:
            check_interruption()
            reason = self._runs.get(run_id) or (step_run_id and self._step_runs.get(step_run_id))
            if reason:
                # After any other exception, ZenML would retry the step.
                raise RunStoppedException(f"The step is not submitted: {reason}.")

        return check

    def why(self, step_run: StepRunResponse) -> str:
        """Return why this operator cancelled the job of a step run, as a clause; empty if it did not."""
        return self._step_runs.get(step_run.id) or self._runs.get(step_run.pipeline_run_id, "")

    def cancel(self, step_run: StepRunResponse, reason: str) -> None:
        """Cancel one job, and return.

        Leaves the job alone if its step has reported its end, or if the job has ended or is finalizing.

        Args:
            step_run: The step run.
            reason: The reason, as a clause.

        Raises:
            AzureMLError: If Azure refuses. The message has the command that cancels the job.
        """
        job = self._watch(step_run)
        if job.phase.ended or job.status == FINALIZING or _has_reported(step_run):
            return
        self._step_runs[step_run.id] = reason
        self._cancel(step_run)

    def cannot_end(self, step_run: StepRunResponse) -> bool:
        """True if the run of a step is over, and Azure did not cancel the step's job: nothing is left to wait for."""
        return step_run.id in self._refused and step_run.pipeline_run_id in self._runs

    def forget(self, step_run_id: UUID) -> None:
        """Forget a step run that has ended."""
        self._step_runs.pop(step_run_id, None)
        self._being_ended.pop(step_run_id, None)
        self._refused.discard(step_run_id)

    def end_if_interrupted(self, step_run: StepRunResponse, check: Callable[[], None]) -> None:
        """Cancel the job of a step run if its run was stopped during the submit.

        Args:
            step_run: The step run.
            check: The function that `checker` returned before the submit.
        """
        try:
            check()
        except (RunInterruptedException, RunStoppedException):
            self.end_runs([step_run], self.why(step_run) or INTERRUPTED)

    def end_runs(self, ended: Iterable[StepRunResponse], reason: str) -> None:
        """Cancel the jobs of step runs because their runs are over. Never raises.

        The job of a step that has reported its end to the server gets some time to end by itself. Otherwise a completed
        step would have a canceled job.

        Args:
            ended: The step runs.
            reason: The reason, as a clause.
        """
        ended = list(ended)
        self._runs.update({step_run.pipeline_run_id: reason for step_run in ended})
        # The user who interrupts a run waits for this, so it makes no request to a server that may be unavailable.
        reported = set() if reason == INTERRUPTED else _reported({step_run.pipeline_run_id for step_run in ended})
        deadline = self._time.monotonic() + FINISHING.total_seconds()
        self.end([step_run for step_run in ended if step_run.id not in reported])
        finishing = [step_run for step_run in ended if step_run.id in reported]
        going_on = {step_run.id for step_run in finishing if not self._ends_by_itself(step_run, deadline)}
        self.end([step_run for step_run in finishing if step_run.id in going_on])
        for step_run in finishing:
            if step_run.id not in going_on:
                self._drop_secret(step_run)

    def end(
        self,
        ended: Iterable[StepRunResponse],
        *,
        look_for: timedelta = timedelta(),
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Cancel the jobs of step runs and wait for their end. Logs a line for each job that cannot be cancelled.

        Raises nothing of its own. A second Ctrl+C ends the wait, but not the cancellation: that runs on a separate
        thread, and the interpreter waits for it.

        Args:
            ended: The step runs.
            look_for: Time for which a job may still appear.
            then: Called at the end.
        """
        ended, done = list(ended), threading.Event()
        with self._lock:
            mine = [step_run for step_run in ended if step_run.id not in self._being_ended]
            of_others = {self._being_ended[step_run.id] for step_run in ended if step_run.id in self._being_ended}
            self._being_ended.update({step_run.id: done for step_run in mine})

        def work() -> None:
            try:
                self._end(mine, look_for)
                then()
            finally:
                done.set()

        thread = threading.Thread(target=work, name="zenml-azureml-job-ending")
        try:
            thread.start()
        except RuntimeError:  # from Python 3.12 on, no thread starts once the interpreter has begun to shut down
            work()
        else:
            thread.join()
        # At exit, the interpreter does not wait for a thread whose `join` a signal has interrupted (Python 3.11).
        for other in of_others:
            other.wait()
        # Another caller may have come before the job existed, and found nothing to cancel.
        left = [step_run for step_run in ended if step_run not in mine and step_run.id not in self._being_ended]
        if left:
            self.end(left, look_for=look_for)

    def _ends_by_itself(self, step_run: StepRunResponse, deadline: float) -> bool:
        job = self._watch(step_run)
        while not job.wait(_LOOK_AGAIN):
            if job.status == FINALIZING:
                return True  # its command has ended, so there is nothing left to cancel
            if self._time.monotonic() >= deadline:
                return False
            job = self._watch(step_run)
        return job.error is None

    def _end(self, mine: list[StepRunResponse], look_for: timedelta) -> None:
        cancelled = [step_run for step_run in mine if self._try_to_cancel(step_run, look_for)]
        # A job that did not exist, or could not be cancelled, gets another try at the next call.
        for step_run_id in {step_run.id for step_run in mine} - {step_run.id for step_run in cancelled}:
            self._being_ended.pop(step_run_id, None)
        deadline = self._time.monotonic() + CONFIRMATION.total_seconds()
        for step_run in cancelled:
            job = self._watch(step_run)
            while not job.wait(_LOOK_AGAIN) and self._time.monotonic() < deadline:
                job = self._watch(step_run)  # its step may have been cleaned up, which ends the watch
            if job.settled and job.error is None:
                logger.info("The Azure ML job `%s` has ended: %s.", job.name, job.status)
            else:
                logger.warning(
                    "Cancellation of Azure ML job `%s` was requested but not confirmed. %s",
                    job.name,
                    self._workspace_of(step_run).how_to_cancel(job.name),
                )
        for step_run in mine:  # also if its job was never created
            self._drop_secret(step_run)

    def _try_to_cancel(self, step_run: StepRunResponse, look_for: timedelta) -> bool:
        began = self._time.monotonic()
        # If Azure has created a job and now reports that it does not exist, search again: one answer may be wrong.
        was_made = step_runs.is_recorded(step_run) and step_runs.recorded_job_name(step_run) == self._job_name(step_run)
        patience = max(look_for, SUBMIT_LAG) if was_made else look_for
        try:
            while not self._cancel(step_run):
                if self._time.monotonic() - began >= patience.total_seconds():
                    if was_made:
                        self._tell_missing(step_run)
                    return False
                self._time.sleep(1)
        except AzureMLError as error:
            logger.error("%s", error)
            self._refused.add(step_run.id)
            return False
        return True

    def _tell_missing(self, step_run: StepRunResponse) -> None:
        name = self._job_name(step_run)
        logger.warning(
            "Azure ML job `%s` was not cancelled: Azure reported that it does not exist (any more). %s",
            name,
            self._workspace_of(step_run).how_to_cancel(name),
        )

    def _cancel(self, step_run: StepRunResponse) -> bool:
        return self._workspace_of(step_run).cancel(self._job_name(step_run))


def _has_reported(step_run: StepRunResponse) -> bool:
    """True if a step run has reported its end; False if the server is unavailable."""
    try:
        return step_runs.has_reported(step_run)
    except Exception as error:  # noqa: BLE001 - as below
        logger.debug("Could not get the status of the step: %s", error)
        return False


def _reported(run_ids: Iterable[UUID]) -> set[UUID]:
    """Return the ids of the step runs that have reported their end; none if the server is unavailable."""
    try:
        return {step_run_id for run_id in run_ids for step_run_id in step_runs.reported_ends(run_id)}
    except Exception as error:  # noqa: BLE001 - one cancelled job too many is better than one that keeps running
        logger.debug("Could not get the steps that have ended: %s", error)
        return set()
