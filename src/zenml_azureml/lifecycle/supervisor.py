"""Ends the jobs that nobody waits for, when their run is over or the process is interrupted.

In dynamic pipelines ZenML waits for no job: it asks for their status now and then, and leaves them alone when
the run is stopped or fails, and when the process ends. In static ones a signal may come just between the submit
and the waiting.
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
from zenml_azureml.lifecycle.canceller import INTERRUPTED
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

#: Time between two looks at whether a signal has come.
SIGNAL_CHECK_INTERVAL = timedelta(seconds=0.5)

#: Time between two looks at whether a run is over; each is a request to ZenML's server.
RUN_CHECK_INTERVAL = timedelta(seconds=2)

#: Time that an owner gets to end its jobs when a signal has come. ZenML's own handler asks the server first, on the
#: main thread, and waits for minutes for one that does not answer.
OWNERS_TIME = timedelta(seconds=5)

EndJobs = Callable[[list["StepRunResponse"], str], None]


@dataclass(frozen=True)
class _Guarded:
    step_run: StepRunResponse
    dynamic: bool
    until_exit: bool


class RunSupervisor:
    """The step runs of one operator that have a job and nobody who waits for it.

    Thread-safe: the table is guarded by a lock. Its thread ends with its work.

    Args:
        end_jobs: Ends the jobs of step runs, given the reason; must not raise.
        time: Where the time comes from.
    """

    def __init__(self, end_jobs: EndJobs, time: Time) -> None:
        self._end_jobs = end_jobs
        self._time = time
        self._lock = threading.Lock()
        self._guarded: dict[UUID, _Guarded] = {}
        self._thread: threading.Thread | None = None
        self._at_exit_too = False
        # The thread checks for signals too, which must not wait for a server that does not answer.
        self._over = LatestAnswers(_why_over, "", timedelta(), time)
        STOP_SIGNALS.guards.add(self)

    @property
    def busy(self) -> bool:
        """Whether there are jobs that must not outlive the process."""
        return bool(self._guarded)

    def take(self, step_run: StepRunResponse, *, dynamic: bool = False, until_exit: bool = False) -> None:
        """Guard the job of a step run, which may be only about to be made.

        Args:
            step_run: The step run.
            dynamic: Whether its run is a dynamic one, of which the status tells whether anybody waits for its steps.
            until_exit: True to leave it to its owner until the process ends, or has had a signal for some seconds.
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
        """Leave the job of a step run alone: it has ended, or somebody else sees to it."""
        with self._lock:
            self._guarded.pop(step_run_id, None)

    def clean_up(self, step_run_id: UUID) -> None:
        """As `release`, of a step that ZenML is done with; a job whose ending was broken off is ended at exit."""
        with self._lock:
            guarded = self._guarded.get(step_run_id)
            if guarded is not None and not guarded.until_exit:
                del self._guarded[step_run_id]

    def watches(self, step_run_id: UUID) -> bool:
        """True if the job of a step run is still to be ended, at the latest at exit."""
        return step_run_id in self._guarded

    def abandon(self) -> None:
        """Guard nothing any more, in a forked child: without the lock, which a thread of the parent may have held."""
        self._guarded = {}

    def end_all(self, reason: str) -> None:
        """End every job that is guarded."""
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
            except Exception:  # noqa: BLE001 - raised for those whom it interrupts; here it is the news
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
            self.release(step_run.id)


def _end_at_exit(guard: weakref.ref[RunSupervisor]) -> None:
    living = guard()
    if living is not None:
        living.end_all("the process that ran the pipeline has ended")


def _why_over(run_id: UUID) -> str:
    return step_runs.over(run_id)
