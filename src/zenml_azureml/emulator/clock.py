"""Clocks of the emulator: injected, so that tests of long jobs take no time."""

from __future__ import annotations

import asyncio
import heapq
import time
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """Source of time, and of waiting, for the emulator."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is advanced; sleepers wake up in the order of time.

    Args:
        start: The time of day at first; by default the machine's.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(timezone.utc)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds that it was moved so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until it was moved by so many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Advance the clock; returns when all coroutines that woke up sleep again or are done.

        Args:
            seconds: Number of seconds.
        """
        target = self._elapsed + seconds
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._elapsed, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await _let_others_run()
        self._elapsed = target


async def _let_others_run() -> None:
    # Each turn of the loop runs what is ready; a woken coroutine may take several to sleep again.
    for _ in range(50):
        await asyncio.sleep(0)
