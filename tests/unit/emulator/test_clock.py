"""The clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

from zenml_azureml.emulator.clock import ManualClock

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_sleepers_wake_in_the_order_of_time_and_see_their_own_time() -> None:
    clock = ManualClock(START)
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            seen.append((name, clock.monotonic()))

    async def scenario() -> None:
        sleepers = [asyncio.create_task(sleeper("a", 5, 1)), asyncio.create_task(sleeper("b", 2, 2))]
        await clock.advance(5)
        assert seen == [("b", 2), ("b", 4), ("a", 5)]
        await clock.advance(1)
        await asyncio.gather(*sleepers)

    asyncio.run(scenario())

    assert seen[3:] == [("a", 6)]
    assert clock.now() == START + timedelta(seconds=6)


def test_no_time_passes_for_who_sleeps_no_time() -> None:
    clock = ManualClock(START)

    asyncio.run(clock.sleep(0))

    assert clock.now() == START


def test_who_was_cancelled_is_not_woken() -> None:
    clock = ManualClock(START)

    async def scenario() -> None:
        sleeper = asyncio.create_task(clock.sleep(1))
        await clock.advance(0)
        sleeper.cancel()
        await clock.advance(2)
        assert sleeper.cancelled()

    asyncio.run(scenario())
