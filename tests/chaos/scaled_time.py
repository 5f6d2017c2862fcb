"""Time that runs faster, on both sides of the wire: a minute's patience is over in a second."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime, timezone

_SLEEP = time.sleep


class ScaledTime:
    """The operator's time (`zenml_azureml.timing.Time`), so many times as fast as the machine's."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def install(self) -> None:
        """Have everything in this process sleep that much less: ZenML, the SDK, azure-identity."""
        time.sleep = self.sleep  # type: ignore[assignment]

    def monotonic(self) -> float:
        return time.monotonic() * self._factor

    def sleep(self, seconds: float) -> None:
        _SLEEP(seconds / self._factor)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(None if seconds is None else seconds / self._factor)


class ScaledClock:
    """The emulator's clock. The time of day stays the machine's: tokens and SAS URLs are dated by it."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        return time.monotonic() * self._factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._factor)
