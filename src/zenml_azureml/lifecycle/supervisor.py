"""Cancels the jobs that no caller waits for, when their run is over or the process is interrupted.

In dynamic pipelines ZenML waits for no job. It polls their status, and leaves them running when the run is stopped or
fails, and when the process ends. In static pipelines a signal may come between the submit and the wait.
"""

from __future__ import annotations

import atexit
import math
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_azureml.clock import Time
from zenml_azureml.lifecycle.canceller import INTERRUPTED, PROCESS_ENDED
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

#: Interval between two checks for a signal.
SIGNAL_CHECK_INTERVAL = timedelta(seconds=0.5)

#: Interval between two checks whether a run is over; each is a request to ZenML's server.
RUN_CHECK_INTERVAL = timedelta(seconds=2)

#: Time that the thread which waits for a job gets to cancel it after a signal. ZenML's own handler makes a request to
#: the server first, on the main thread, and waits for minutes if the server does not answer.
OWNERS_TIME = timedelta(seconds=5)

EndJobs = Callable[[list["StepRunResponse"], str], None]


@dataclass(frozen=True)
class _Guarded:
    step_run: StepRunResponse
    dynamic: bool
    until_exit: bool


class RunSupervisor:
    """A supervisor of one operator's step runs that have a job for which no caller waits.

    Thread-safe: a lock guards the table. Its thread ends when no job is left.

    Args:
        end_jobs: Cancels the jobs of step runs, given the reason; must not raise.
        time: The clock.
    """

    def __init__(self, end_jobs: EndJobs, time: Time) -> None:
        self._end_jobs = end_jobs
        self._time = time
        self._lock = threading.Lock()
        self._guarded: dict[UUID, _Guarded] = {}
        self._thread: threading.Thread | None = None
        self._at_exit_too = False
        # The same thread checks for signals, so it must not wait for a server that does not answer.
        self._over = LatestAnswers(_why_over, "", timedelta(), time)
        STOP_SIGNALS.guards.add(self)

    @property
    def busy(self) -> bool:
        """True if there are jobs that must not outlive the process."""
        return bool(self._guarded)

    def take(self, step_run: StepRunResponse, *, dynamic: bool = False, until_exit: bool = False) -> None:
        """Guard the job of a step run, which may not exist yet.

        Args:
            step_run: The step run.
            dynamic: True if its run is dynamic, so that the run's status shows if a process still waits for its steps.
            until_exit: True to leave the job to the caller that waits for it, until the process ends or a signal came
                some seconds ago.
        """
        with self._lock:
            self._guarded[step_run.id] = _Guarded(step_run, dynamic, until_exit)
            if not self._at_exit_too:
                self._at_exit_too = True
                atexit.register(_end_at_exit, weakref.ref(self))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="zenml-azureml-job-guard", daemon=True)
                self._thread.start()

    def release(self, step_run_id: UUID) -> None:
        """Stop guarding the job of a step run: it has ended, or a caller waits for it."""
        with self._lock:
            self._guarded.pop(step_run_id, None)

    def clean_up(self, step_run_id: UUID) -> None:
        """Release a step after ZenML's clean-up; an interrupted cancellation of its job is repeated at exit."""
        with self._lock:
            guarded = self._guarded.get(step_run_id)
            if guarded is not None and not guarded.until_exit:
                del self._guarded[step_run_id]

    def watches(self, step_run_id: UUID) -> bool:
        """True if the job of a step run is still to be ended, at the latest at exit."""
        return step_run_id in self._guarded

    def abandon(self) -> None:
        """Stop guarding all jobs, in a forked child; without the lock, which a thread of the parent may have held."""
        self._guarded = {}

    def end_all(self, reason: str) -> None:
        """Cancel all guarded jobs."""
        self._end([guarded.step_run for guarded in list(self._guarded.values())], reason)

    def _run(self) -> None:
        check, looked_at = STOP_SIGNALS.checker(), self._time.monotonic()
        signalled_at = math.inf
        while True:
            with self._lock:
                if not self._guarded:
                    self._thread = None
                    return
            self._time.sleep(SIGNAL_CHECK_INTERVAL.total_seconds())
            with self._lock:
                mine = [guarded for guarded in self._guarded.values() if not guarded.until_exit]
            now = self._time.monotonic()
            try:
                check()
            except Exception:  # noqa: BLE001 - the check raises to report a signal
                self._end([guarded.step_run for guarded in mine], INTERRUPTED)
                check, signalled_at = STOP_SIGNALS.checker(), now
            if now - signalled_at >= OWNERS_TIME.total_seconds():
                self.end_all(INTERRUPTED)
                signalled_at = math.inf
            if now - looked_at >= RUN_CHECK_INTERVAL.total_seconds():
                self._look_at_runs([guarded.step_run for guarded in mine if guarded.dynamic])
                looked_at = self._time.monotonic()

    def _look_at_runs(self, guarded: list[StepRunResponse]) -> None:
        for run_id in {step_run.pipeline_run_id for step_run in guarded}:
            if over := self._over.answer(run_id):
                self._end([step_run for step_run in guarded if step_run.pipeline_run_id == run_id], over)

    def _end(self, step_runs_: list[StepRunResponse], reason: str) -> None:
        if step_runs_:
            self._end_jobs(step_runs_, reason)
        for step_run in step_runs_:
            if reason != INTERRUPTED:
                self.release(step_run.id)
            elif step_run.id in self._guarded:  # until its end is published: a second Ctrl+C may keep ZenML from that
                self.take(step_run, until_exit=True)


def _end_at_exit(guard: weakref.ref[RunSupervisor]) -> None:
    living = guard()
    if living is not None:
        living.end_all(PROCESS_ENDED)


def _why_over(run_id: UUID) -> str:
    return step_runs.over(run_id)
