"""One thread at a time for one thing: the others wait, and those that want the same get what it got."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from zenml_azureml.failures import AzureMLError

T = TypeVar("T")


@dataclass
class _Turn(Generic[T]):
    asked: Hashable
    over: threading.Event = field(default_factory=threading.Event)
    #: One of the two is set once it is over, unless it was broken off.
    result: T | None = None
    error: AzureMLError | None = None


class Turns(Generic[T]):
    """Thread-safe: the table of turns is guarded by one lock, held only to look and to write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, _Turn[T]] = {}

    def take(self, key: Hashable, asked: Hashable, work: Callable[[], T]) -> tuple[T, bool]:
        """Do some work, or wait for a thread that is at it.

        Args:
            key: What must not be worked on by two threads at once.
            asked: What is to come of it. Who asks for the same while somebody is at it takes part in the
                outcome, be it an error; who asks for something else has a turn of their own afterwards.
            work: The work.

        Returns:
            `(outcome, own)`: what came of it, and whether it was this very call that did it.

        Raises:
            AzureMLError: As `work` does.
        """
        while True:
            with self._lock:
                turn = self._turns.get(key)
                if turn is None:
                    mine = self._turns[key] = _Turn[T](asked)
                    break
            turn.over.wait()
            if turn.asked != asked:
                continue
            if turn.error is not None:
                # An exception belongs to the thread that raises it: its traceback grows there.
                raise AzureMLError(str(turn.error)) from turn.error
            if turn.result is not None:
                return turn.result, False
            # It was broken off, as by Ctrl+C in its thread: that is no outcome for anybody else.
        try:
            mine.result = work()
        except AzureMLError as error:
            mine.error = error
            raise
        finally:
            with self._lock:
                del self._turns[key]
            mine.over.set()
        return mine.result, True
