"""Answers of ZenML's server about runs, requested once in an interval, with a short limit on the wait for them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import UUID

from zenml.logger import get_logger

from zenml_azureml.clock import Time
from zenml_azureml.run_store.fork_gate import begin_request

logger = get_logger(__name__)

T = TypeVar("T")

#: Time for which the caller waits for an answer. ZenML's client itself waits for minutes for a server that accepts
#: connections and does not answer; meanwhile a job may end, or a signal come.
_ANSWER_TIMEOUT = timedelta(seconds=1)


#: Time after which a run is over that nothing has asked about.
_REMEMBERED = timedelta(minutes=10)


class LatestAnswers(Generic[T]):
    """The latest answer about each run.

    Thread-safe: a lock guards the answers and the times of the requests. One caller waits for a request that is due;
    the others, and that one after a second, get the previous answer.

    Args:
        request: Asks the server about a run, on a separate thread. An error leaves the answer unchanged.
        unknown: The answer until there is one.
        interval: Time between two requests about the same run.
        time: The clock.
    """

    def __init__(self, request: Callable[[UUID], T], unknown: T, interval: timedelta, time: Time) -> None:
        self._request = request
        self._unknown = unknown
        self._interval = interval.total_seconds()
        self._time = time
        self._lock = threading.Lock()
        self._asked_at: dict[UUID, float] = {}
        self._pending: set[UUID] = set()
        self._answers: dict[UUID, T] = {}

    def answer(self, run_id: UUID) -> T:
        """Return the latest answer about a run, after a request if one is due."""
        with self._lock:
            now = self._time.monotonic()
            is_due = run_id not in self._pending and now - self._asked_at.get(run_id, -math.inf) >= self._interval
            if is_due:
                self._forget_before(now - _REMEMBERED.total_seconds())
                self._asked_at[run_id] = now
                self._pending.add(run_id)
        if is_due:
            self._ask(run_id)
        return self._answers.get(run_id, self._unknown)

    def _forget_before(self, moment: float) -> None:
        for run_id in [run_id for run_id, asked_at in self._asked_at.items() if asked_at < moment]:
            del self._asked_at[run_id]
            self._answers.pop(run_id, None)

    def _ask(self, run_id: UUID) -> None:
        def work() -> None:
            try:
                answer = self._request(run_id)
                with self._lock:
                    self._answers[run_id] = answer
            except Exception as error:  # noqa: BLE001 - jobs keep running while ZenML's server is unavailable
                logger.debug("Could not get the status of run %s: %s", run_id, error)
            finally:
                self._pending.discard(run_id)

        _, answered = begin_request(work)
        self._time.wait(answered, _ANSWER_TIMEOUT.total_seconds())
