"""One clock for both sides of the wire: it runs faster than the machine's, and waits for a side that gets no processor.

The emulator moves it, one tick at a time, and only when the orchestrator's process has run since the last one. On a
busy machine time itself is slower: no job is over, and no patience, because one of them did not get its turn.
"""

from __future__ import annotations

import asyncio
import heapq
import mmap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import count

#: Seconds of the machine between two ticks, and between two signs of life.
TICK, BEAT = 0.005, 0.0025

#: Ticks after which the clock runs on without a sign of life: the process hangs, or has just been killed.
WAITS_FOR = 100

_IDLE = 0.05

#: While a request is under way, only each so many-th tick counts: an answer takes a busy machine long.
SLOWER = 20

_NOW, _ATTACHED, _BEATS, _STOPPED, _REQUESTS = range(5)

_sleep = time.sleep


class SharedClock:
    """The operator's time (`zenml_azureml.clock.Time`), in memory that forked processes share.

    To be made before the processes that share it. Only the emulator's process moves it.

    Args:
        factor: How many times as fast as the machine's it is.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._memory = mmap.mmap(-1, 64)
        self.cells = memoryview(self._memory).cast("d")
        self._lock = threading.Lock()

    def attach(self, attached: bool = True) -> None:
        """Have the clock wait, or not wait any more, for signs of life."""
        self.cells[_ATTACHED] = float(attached)
        self.cells[_REQUESTS] = 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Let time pass slowly while a request of this process is under way."""
        with self._lock:
            self.cells[_REQUESTS] += 1
        try:
            yield
        finally:
            with self._lock:
                self.cells[_REQUESTS] = max(0.0, self.cells[_REQUESTS] - 1)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass meanwhile."""
        self.cells[_STOPPED] = 1.0
        try:
            yield
        finally:
            self.cells[_STOPPED] = 0.0

    def install(self) -> None:
        """Have everything in this process sleep by this clock (ZenML, the SDK too), and give signs of life."""
        time.sleep = self.sleep  # type: ignore[assignment]
        threading.Thread(target=self._beat, name="chaos-beat", daemon=True).start()

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self.cells[_NOW]

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            _sleep(max(left / self.factor, BEAT))

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait until an event is set or so many seconds are over (None: as long as it takes); whether it is set."""
        if seconds is None:
            return event.wait()
        until = self.monotonic() + seconds
        while not event.is_set() and (left := until - self.monotonic()) > 0:
            event.wait(max(left / self.factor, BEAT))
        return event.is_set()

    def _beat(self) -> None:
        while True:
            _sleep(BEAT)
            self.cells[_BEATS] += 1


class EmulatorClock:
    """The emulator's side of a shared clock. The time of day stays the machine's: tokens and SAS URLs are dated by it.

    Args:
        shared: The clock.
    """

    def __init__(self, shared: SharedClock) -> None:
        self._shared = shared
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Seconds of the shared clock."""
        return self._shared.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of the shared clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.monotonic() + seconds, next(self._numbers), future))
        await future

    async def run(self) -> None:
        """Move the clock until this is cancelled."""
        cells, beats, waited, ticks = self._shared.cells, -1.0, 0, 0
        while True:
            # A clock that nothing waits for takes no processor time from the others.
            await asyncio.sleep(TICK if cells[_ATTACHED] or self._sleepers else _IDLE)
            ticks += 1
            if cells[_STOPPED] or (cells[_REQUESTS] and ticks % SLOWER):
                continue
            if cells[_ATTACHED] and cells[_BEATS] == beats and waited < WAITS_FOR:
                waited += 1
                continue
            beats, waited = cells[_BEATS], 0
            cells[_NOW] += TICK * self._shared.factor
            while self._sleepers and self._sleepers[0][0] <= cells[_NOW]:
                _, _, future = heapq.heappop(self._sleepers)
                if not future.done():
                    future.set_result(None)
