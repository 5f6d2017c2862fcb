"""A clock that stands still."""

from __future__ import annotations

import threading


class StillTime:
    """Time that passes only in a sleep.

    Args:
        now: The moment at which it begins.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.is_set()
