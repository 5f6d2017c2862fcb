"""The clock of this package. It is passed as an argument, so that tests of waiting need not wait."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Time(Protocol):
    """A clock with methods to wait. All times are in seconds."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment; the value never decreases."""

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait for an event, at most for some seconds (None: without limit). Return True if the event is set."""


class SystemTime:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment; the value never decreases."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait for an event, at most for some seconds (None: without limit). Return True if the event is set."""
        return event.wait(seconds)


SYSTEM_TIME = SystemTime()
