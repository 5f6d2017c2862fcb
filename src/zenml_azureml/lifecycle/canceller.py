"""Cancellation of the jobs of steps, with the wait for their end."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.logger import get_logger

from zenml_azureml.azure.jobs.status import FINALIZING
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.execution import Guard
from zenml_azureml.lifecycle.holding import is_held
from zenml_azureml.retry_loop import wait_until
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ask_or

if TYPE_CHECKING:
    from zenml_azureml.lifecycle.azure_jobs import AzureJobs
    from zenml_azureml.lifecycle.execution import StepExecution

logger = get_logger(__name__)

#: The reason for a stop, as a clause: the process ends with jobs that no caller waits for.
PROCESS_ENDED = "the process that ran the pipeline has ended"

#: Time to wait for Azure to confirm a cancel, before a warning.
CONFIRMATION = timedelta(seconds=60)

#: Time after which a cancel that had no effect is requested again.
CANCEL_AGAIN = timedelta(seconds=60)

#: Time that a job gets to end after its step has reported its end: Azure needs some seconds for a job's last phase.
FINISHING = timedelta(seconds=30)

#: Interval at which to make sure that a cancelled job is still watched.
_LOOK_AGAIN = timedelta(seconds=1)

#: Time to look for the job of an interrupted submit: Azure may not have created it yet.
SUBMIT_LAG = timedelta(seconds=5)


class Canceller:
    """The canceller of one operator's jobs.

    Thread-safe: a lock makes sure that only one of several threads cancels the job of a step.

    Args:
        jobs: The jobs of an operator's steps.
        time: The clock.
    """

    def __init__(self, jobs: AzureJobs, time: Time) -> None:
        self._jobs = jobs
        self._time = time
        self._lock = threading.Lock()

    def end(
        self, steps: Iterable[StepExecution], *, look_for: timedelta = timedelta(), then: Guard = Guard.NONE
    ) -> None:
        """Cancel the jobs of steps and wait for their end. Logs a line for each job that cannot be cancelled.

        Raises nothing of its own. A second Ctrl+C ends the wait, but not the cancellation: that runs on a separate
        thread, and the interpreter waits for it. Until a job has ended, its step is guarded.

        Args:
            steps: The steps.
            look_for: Time for which a job may still appear.
            then: The guard of the steps when their jobs have ended.
        """
        steps, done = list(steps), threading.Event()
        with self._lock:
            mine = [step for step in steps if step.cancelling is None]
            of_others = {step.cancelling for step in steps if step.cancelling is not None}
            for step in mine:
                step.cancelling, step.guard = done, Guard.EXIT

        def work() -> None:
            try:
                self._end(mine, look_for)
                for step in mine:
                    step.guard = then
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
        left = [step for step in steps if step not in mine and step.cancelling is None]
        if left:
            self.end(left, look_for=look_for, then=then)

    def end_unless_finishing(self, steps: Iterable[StepExecution], *, interrupted: bool) -> None:
        """Cancel the jobs of steps whose runs are over, as `end` does.

        The job of a step that has reported its end to the server gets some time to end by itself. Otherwise a completed
        step would have a canceled job. A job that is held open after the failure of its step counts as ended.

        Args:
            steps: The steps.
            interrupted: True if a user waits for this: then it makes no request to a server that may be unavailable.
                The steps stay guarded until their ends are published, which a second Ctrl+C may keep ZenML from.
        """
        steps, then = list(steps), Guard.EXIT if interrupted else Guard.NONE
        reported = set() if interrupted else _reported({step.run_id for step in steps})
        deadline = self._time.monotonic() + FINISHING.total_seconds()
        self.end([step for step in steps if step.id not in reported and not step.is_held], then=then)
        for step in steps:
            step.is_held = step.is_held or (step.id in reported and is_held(step))
            step.guard = Guard.NONE if step.is_held else step.guard
        finishing = [step for step in steps if step.id in reported and not step.is_held]
        going_on = [step for step in finishing if not self._ends_by_itself(step, deadline)]
        self.end(going_on, then=then)
        for step in finishing:
            if step not in going_on:
                self._jobs.drop_secret(step)
                step.guard = then

    def _ends_by_itself(self, step: StepExecution, deadline: float) -> bool:
        job = self._jobs.watch(step, quietly=True)
        while not job.wait(_LOOK_AGAIN):
            if job.status == FINALIZING:
                return True  # its command has ended, so there is nothing left to cancel
            if self._time.monotonic() >= deadline:
                return False
            job = self._jobs.watch(step, quietly=True)
        return job.error is None

    def _end(self, mine: list[StepExecution], look_for: timedelta) -> None:
        cancelled = [step for step in mine if self._try_to_cancel(step, look_for)]
        for step in mine:
            if step not in cancelled:  # a job that did not exist, or could not be cancelled, gets another try
                step.cancelling = None
        deadline = self._time.monotonic() + CONFIRMATION.total_seconds()
        for step in cancelled:
            job = self._jobs.watch(step, quietly=True)
            while not job.wait(_LOOK_AGAIN) and self._time.monotonic() < deadline:
                job = self._jobs.watch(step, quietly=True)  # its step may have been cleaned up, which ends the watch
            if job.settled and job.error is None:
                logger.info("The Azure ML job `%s` has ended: %s.", job.name, job.status)
            else:
                logger.warning(
                    "Cancellation of Azure ML job `%s` was requested but not confirmed. %s",
                    job.name,
                    self._jobs.how_to_cancel(step),
                )
        for step in mine:  # also if its job was never created
            self._jobs.drop_secret(step)

    def _try_to_cancel(self, step: StepExecution, look_for: timedelta) -> bool:
        # If Azure has created a job and now reports that it does not exist, search again: one answer may be wrong.
        was_made = step_runs.is_recorded(step.step_run) and step_runs.recorded_job_name(step.step_run) == step.job_name
        patience = max(look_for, SUBMIT_LAG) if was_made else look_for
        deadline = self._time.monotonic() + patience.total_seconds()
        try:
            found = wait_until(lambda: self._jobs.cancel(step), bool, deadline=deadline, interval=1, time=self._time)
        except AzureMLError as error:
            logger.error("%s", error)
            step.is_refused = True
            return False
        if was_made and not found:
            logger.warning(
                "Azure ML job `%s` was not cancelled: Azure reported that it does not exist (any more). %s",
                step.job_name,
                self._jobs.how_to_cancel(step),
            )
        return found


def _reported(run_ids: Iterable[UUID]) -> set[UUID]:
    """Return the ids of the step runs that have reported their end; none if the server is unavailable."""
    # One cancelled job too many is better than one that keeps running.
    return ask_or(
        set(), "looking up the steps that have ended", lambda: set().union(*map(step_runs.reported_ends, run_ids))
    )
