"""Time as this package sees it: passed in, so that waiting can be tested without waiting."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Time(Protocol):
    """A clock, and how to wait on it. Seconds everywhere."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait until an event is set or so many seconds are over (None: as long as it takes); whether it is set."""


class SystemTime:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait until an event is set or so many seconds are over (None: as long as it takes); whether it is set."""
        return event.wait(seconds)


SYSTEM_TIME = SystemTime()
