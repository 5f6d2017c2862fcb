"""The supervisor: it cancels jobs that no caller waits for if their run is over or the process is interrupted.

In dynamic pipelines ZenML waits for no job. It polls their status, and leaves them running when the run is stopped or
fails, and when the process ends. In static pipelines a signal may come between the submit and the wait.
"""

from __future__ import annotations

import atexit
import math
import threading
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml_azureml.clock import Time
from zenml_azureml.lifecycle.canceller import PROCESS_ENDED
from zenml_azureml.lifecycle.execution import INTERRUPTED, Executions, Guard, StepExecution
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml_azureml.lifecycle.controller import StepController

#: Interval between two checks for a signal.
SIGNAL_CHECK_INTERVAL = timedelta(seconds=0.5)

#: Interval between two checks whether a run is over; each is a request to ZenML's server.
RUN_CHECK_INTERVAL = timedelta(seconds=2)

#: Time that the thread which waits for a job gets to cancel it after a signal. ZenML's own handler makes a request to
#: the server first, on the main thread, and waits for minutes if the server does not answer.
OWNERS_TIME = timedelta(seconds=5)


class RunSupervisor:
    """A supervisor of one operator's steps that have a job for which no caller waits.

    Thread-safe: a lock guards the start of its thread, which ends when no step is guarded.

    Args:
        executions: The steps.
        controller: Cancels their jobs.
        time: The clock.
    """

    def __init__(self, executions: Executions, controller: StepController, time: Time) -> None:
        self._executions = executions
        self._controller = controller
        self._time = time
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._at_exit_too = False
        # The same thread checks for signals, so it must not wait for a server that does not answer.
        self._over = LatestAnswers(step_runs.over, "", timedelta(), time)
        STOP_SIGNALS.guards.add(self)

    @property
    def busy(self) -> bool:
        """True if there are jobs that must not outlive the process."""
        return bool(self._executions.guarded())

    def watch(self) -> None:
        """Watch the guarded steps from now on; call it again after a step became guarded."""
        with self._lock:
            if not self._at_exit_too:
                self._at_exit_too = True
                atexit.register(_end_at_exit, weakref.ref(self))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="zenml-azureml-supervisor", daemon=True)
                self._thread.start()

    def end_all(self, reason: str) -> None:
        """Cancel the jobs of all guarded steps."""
        self._end(self._executions.guarded(), reason)

    def _run(self) -> None:
        check, looked_at = STOP_SIGNALS.checker(), self._time.monotonic()
        signalled_at = math.inf
        while True:
            with self._lock:
                if not self._executions.guarded():
                    self._thread = None
                    return
            self._time.sleep(SIGNAL_CHECK_INTERVAL.total_seconds())
            now = self._time.monotonic()
            try:
                check()
            except Exception:  # noqa: BLE001 - the check raises to report a signal
                self._end(self._executions.guarded(Guard.SIGNAL, Guard.RUN), INTERRUPTED)
                check, signalled_at = STOP_SIGNALS.checker(), now
            if now - signalled_at >= OWNERS_TIME.total_seconds():
                self.end_all(INTERRUPTED)
                signalled_at = math.inf
            if now - looked_at >= RUN_CHECK_INTERVAL.total_seconds():
                self._look_at_runs(self._executions.guarded(Guard.RUN))
                looked_at = self._time.monotonic()

    def _look_at_runs(self, steps: list[StepExecution]) -> None:
        for run_id in {step.run_id for step in steps}:
            if over := self._over.answer(run_id):
                self._end([step for step in steps if step.run_id == run_id], over)

    def _end(self, steps: list[StepExecution], reason: str) -> None:
        if steps:
            self._controller.stop(steps, reason)


def _end_at_exit(guard: weakref.ref[RunSupervisor]) -> None:
    living = guard()
    if living is not None:
        living.end_all(PROCESS_ENDED)
