"""Answers of ZenML's server about runs, requested once in an interval, with a short limit on the wait for them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
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

#: Time after which the answer about a run is forgotten if no caller asks for it: the run is over.
_REMEMBERED = timedelta(minutes=10)


@dataclass
class _Known(Generic[T]):
    """The latest answer about a run.

    Attributes:
        answer: The answer.
        asked_at: Time of the latest request.
        is_pending: True while that has no response.
    """

    answer: T
    asked_at: float = -math.inf
    is_pending: bool = False


class LatestAnswers(Generic[T]):
    """The latest answer about each run.

    Thread-safe: a lock guards the table and the times of the requests. One caller waits for a request that is due;
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
        self._known: dict[UUID, _Known[T]] = {}

    def answer(self, run_id: UUID) -> T:
        """Return the latest answer about a run, after a request if one is due."""
        with self._lock:
            now = self._time.monotonic()
            known = self._known.get(run_id, _Known(self._unknown))
            is_due = not known.is_pending and now - known.asked_at >= self._interval
            if is_due:
                self._forget_before(now - _REMEMBERED.total_seconds())
                known = self._known.setdefault(run_id, _Known(self._unknown))
                known.asked_at, known.is_pending = now, True
        if is_due:
            self._ask(run_id, known)
        return known.answer

    def _forget_before(self, moment: float) -> None:
        for run_id, known in list(self._known.items()):
            if known.asked_at < moment and not known.is_pending:
                del self._known[run_id]

    def _ask(self, run_id: UUID, known: _Known[T]) -> None:
        def work() -> None:
            try:
                known.answer = self._request(run_id)
            except Exception as error:  # noqa: BLE001 - jobs keep running while ZenML's server is unavailable
                logger.debug("Could not get the status of run %s: %s", run_id, error)
            finally:
                known.is_pending = False

        _, answered = begin_request(work)
        self._time.wait(answered, _ANSWER_TIMEOUT.total_seconds())
