"""What is done for steps whose status somebody asks for, who must not be kept waiting: on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

#: So many pieces of work at once. Each is a few requests, and they share one principal's limits.
_THREADS = 32


class Background:
    """Work for steps, one piece at a time for each. The process ends after it, not in the middle of a submit.

    Thread-safe: a lock guards the table.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="zenml-azureml-move")
        self._lock = threading.Lock()
        self._going_on: dict[UUID, Future[None]] = {}

    def start(self, step_run_id: UUID, work: Callable[[], None]) -> None:
        """Do something for a step, unless something is being done for it."""
        with self._lock:
            if step_run_id not in self._going_on:
                self._going_on[step_run_id] = self._threads.submit(work)

    def going_on(self, step_run_id: UUID) -> bool:
        """Whether something is being done for a step.

        Raises:
            Exception: What it has failed with, once.
        """
        with self._lock:
            work = self._going_on.get(step_run_id)
            if work is None:
                return False
            if not work.done():
                return True
            del self._going_on[step_run_id]
        work.result()
        return False
