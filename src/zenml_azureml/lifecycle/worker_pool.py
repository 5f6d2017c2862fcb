"""What is done for steps whose status somebody asks for, who must not be kept waiting: on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from zenml.enums import ExecutionStatus

from zenml_azureml.clock import Time

#: So many pieces of work at once. Each is a few requests, and they share one principal's limits.
_THREADS = 32

#: How long `start` waits for work that is quickly done, so that its result is not only seen at the next question.
_QUICK = timedelta(seconds=1)

#: Work for a step. Its result is the status that the step has ended with; None if it has not ended.
Work = Callable[[], ExecutionStatus | None]


@dataclass(frozen=True)
class _Going:
    work: Future[ExecutionStatus | None]
    meanwhile: ExecutionStatus


class WorkerPool:
    """Work for steps, one piece at a time for each. The process ends after it, not in the middle of a submit.

    Thread-safe: a lock guards the table.

    Args:
        time: The clock.
    """

    def __init__(self, time: Time) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="zenml-azureml-move")
        self._time = time
        self._lock = threading.Lock()
        self._going_on: dict[UUID, _Going] = {}

    def start(self, step_run_id: UUID, work: Work, meanwhile: ExecutionStatus) -> ExecutionStatus:
        """Do something for a step, unless something is being done for it.

        Args:
            step_run_id: The step run.
            work: What to do.
            meanwhile: The step's status while it is being done.

        Returns:
            The step's status.

        Raises:
            Exception: The error of the work, if it has failed already.
        """
        with self._lock:
            going = self._going_on.get(step_run_id)
            if going is None:
                going = self._going_on[step_run_id] = _Going(self._threads.submit(work), meanwhile)
        done = threading.Event()
        going.work.add_done_callback(lambda _work: done.set())
        self._time.wait(done, _QUICK.total_seconds())
        return self.status(step_run_id) or meanwhile

    def forget(self, step_run_id: UUID) -> None:
        """Forget the result of work for a step that is over, if nothing has asked for it."""
        with self._lock:
            going = self._going_on.get(step_run_id)
            if going is not None and going.work.done():
                del self._going_on[step_run_id]

    def status(self, step_run_id: UUID) -> ExecutionStatus | None:
        """Return the status of a step while something is done for it, or which that has ended with; otherwise None.

        Raises:
            Exception: The error of the work, once.
        """
        with self._lock:
            going = self._going_on.get(step_run_id)
            if going is None:
                return None
            if not going.work.done():
                return going.meanwhile
            del self._going_on[step_run_id]
        return going.work.result()
