"""One thread at a time for one thing: the others wait, and those that want the same get what it got."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Turn(Generic[T]):
    asked: Hashable
    over: threading.Event = field(default_factory=threading.Event)
    #: Set once it is over, unless it has failed.
    result: T | None = None


class SingleFlight(Generic[T]):
    """Thread-safe: the table of turns is guarded by one lock, held only to look and to write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, _Turn[T]] = {}

    def take(self, key: Hashable, asked: Hashable, work: Callable[[], T]) -> tuple[T, bool]:
        """Do some work, or wait for a thread that is at it.

        Args:
            key: What must not be worked on by two threads at once.
            asked: What is to come of it. Who asks for the same while somebody is at it has what comes of it.
                Who asks for something else has a turn of their own afterwards, and so has everybody where it
                fails: it may have failed for a reason that is not theirs.
            work: The work. Whatever it raises is raised.

        Returns:
            `(outcome, own)`: what came of it, and whether it was this very call that did it.
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
