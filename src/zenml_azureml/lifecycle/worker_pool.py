"""A pool of threads for work on polled steps, so that the caller that polls does not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from zenml.enums import ExecutionStatus

from zenml_azureml.clock import Time

#: Number of threads. Each piece of work is a few requests, and all share the rate limits of one principal.
_THREADS = 32

#: Time for which `start` waits for the end, so that quick work shows at this poll rather than at the next.
_QUICK = timedelta(seconds=1)


@dataclass(frozen=True)
class Work:
    """Work on a step.

    Attributes:
        future: The work.
        meanwhile: The status of the step until it is done.
    """

    future: Future[None]
    meanwhile: ExecutionStatus


class WorkerPool:
    """A pool for work on steps. The process does not end before its work. Thread-safe, as its executor is.

    Args:
        time: The clock.
    """

    def __init__(self, time: Time) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="zenml-azureml-step")
        self._time = time

    def start(self, work: Callable[[], None], meanwhile: ExecutionStatus) -> Work:
        """Start work, and wait for a moment.

        Args:
            work: The work.
            meanwhile: The status of the step until it is done.
        """
        started = Work(self._threads.submit(work), meanwhile)
        done = threading.Event()
        started.future.add_done_callback(lambda _future: done.set())
        self._time.wait(done, _QUICK.total_seconds())
        return started
