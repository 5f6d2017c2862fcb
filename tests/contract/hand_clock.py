"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta, timezone


class HandClock:
    """The emulator's time, in the hands of a test: `advance` lets it pass."""

    def __init__(self) -> None:
        self._start = datetime.now(timezone.utc)
        self._passed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._sleepers.append((self._passed + seconds, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Let time pass; who is due wakes up in the order of their going to sleep."""
        with self._lock:
            self._passed += seconds
            due = [woken for until, woken in self._sleepers if until <= self._passed]
            self._sleepers = [entry for entry in self._sleepers if entry[1] not in due]
        for woken in due:
            woken.get_loop().call_soon_threadsafe(_wake, woken)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
