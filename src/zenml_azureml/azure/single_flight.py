"""Single flight: concurrent equal requests share one execution, once each time or once for good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A result that the first caller produces; the others wait for it. A failure is not kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: list[T] = []

    def get(self, make: Callable[[], T]) -> T:
        """Return the result.

        Args:
            make: Produces it, if no earlier call has done so. Its errors are raised.
        """
        with self._lock:
            if not self._results:
                self._results.append(make())
            return self._results[0]

    @property
    def results(self) -> tuple[T, ...]:
        """The result, or an empty tuple if there is none yet; does not wait."""
        return tuple(self._results)

    def renew(self) -> None:
        """Take a new lock, in a forked child: a thread of the parent may have held the present one."""
        self._lock = threading.Lock()


@dataclass
class _Turn(Generic[T]):
    asked: Hashable
    over: threading.Event = field(default_factory=threading.Event)
    #: Set once it is over, unless it has failed.
    result: T | None = None


class SingleFlight(Generic[T]):
    """Executions by key. Thread-safe: one lock guards the table, and is only held to read and write it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, _Turn[T]] = {}

    def take(self, key: Hashable, asked: Hashable, work: Callable[[], T]) -> tuple[T, bool]:
        """Execute a function, or wait for a thread that executes it.

        Args:
            key: The subject, which two threads must not work on at once.
            asked: The request. A caller with an equal request during an execution gets the result of that. A caller
                with another request executes its own function afterwards. If the execution fails, each caller
                that waited executes its own function, because the failure may not apply to it.
            work: The function. Its errors are raised.

        Returns:
            `(outcome, own)`: the result, and True if this call executed the function.
        """
        while True:
            with self._lock:
                turn = self._turns.get(key)
                if turn is None:
                    mine = self._turns[key] = _Turn[T](asked)
                    break
            turn.over.wait()
            if turn.asked == asked and turn.result is not None:
                return turn.result, False
        try:
            mine.result = work()
        finally:
            with self._lock:
                del self._turns[key]
            mine.over.set()
        return mine.result, True

    def renew(self) -> None:
        """Forget the executions of the parent, in a forked child, which has none of its threads."""
        self._lock = threading.Lock()
        self._turns = {}
