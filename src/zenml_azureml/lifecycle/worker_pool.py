"""A pool of threads for work on steps whose status a caller polls, so that the caller does not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from zenml.enums import ExecutionStatus

from zenml_azureml.clock import Time

#: Number of threads. Each piece of work is a few requests, and all share the rate limits of one principal.
_THREADS = 32

#: Time for which `start` waits for the result, so that quick work shows at this poll rather than at the next.
_QUICK = timedelta(seconds=1)

#: Work for a step. Its result is the final status of the step; None if the step has not ended.
Work = Callable[[], ExecutionStatus | None]


@dataclass(frozen=True)
class _Going:
    work: Future[ExecutionStatus | None]
    meanwhile: ExecutionStatus


class WorkerPool:
    """A pool for work on steps, one piece at a time for each step. The process does not end before its work.

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
        """Start work for a step, unless other work for it is in progress.

        Args:
            step_run_id: The step run.
            work: The work.
            meanwhile: The step's status during the work.

        Returns:
            The step's status.

        Raises:
            Exception: The error of the work, if it has already failed.
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
        """Return the status of a step during its work, or the result of the work; None if there is no work.

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
