"""The clock that both sides of the wire share: it waits for whichever gets no processor."""

from __future__ import annotations

import asyncio
import threading

from tests.chaos.shared_clock import TICK, EmulatorClock, SharedClock


def test_no_time_passes_while_the_orchestrator_gives_no_sign_of_life() -> None:
    async def look() -> tuple[float, float]:
        clock = SharedClock(60)
        clock.attach()
        moving = asyncio.ensure_future(EmulatorClock(clock).run())
        await asyncio.sleep(10 * TICK)
        waited = clock.monotonic()
        clock.attach(False)
        while clock.monotonic() <= waited:
            await asyncio.sleep(TICK)
        moving.cancel()
        return waited, clock.monotonic()

    waited, went_on = asyncio.run(look())
    assert waited <= TICK * 60
    assert went_on > waited


def test_no_time_passes_while_it_is_stopped() -> None:
    async def look() -> tuple[float, float]:
        clock = SharedClock(60)
        moving = asyncio.ensure_future(EmulatorClock(clock).run())
        with clock.stopped():
            await asyncio.sleep(10 * TICK)
            stopped = clock.monotonic()
        while clock.monotonic() <= stopped:
            await asyncio.sleep(TICK)
        moving.cancel()
        return stopped, clock.monotonic()

    stopped, went_on = asyncio.run(look())
    assert stopped == 0
    assert went_on > stopped


def test_sleepers_of_both_sides_wake_by_it_in_order() -> None:
    async def look() -> list[str]:
        clock, woken = SharedClock(60), []
        emulator = EmulatorClock(clock)
        moving = asyncio.ensure_future(emulator.run())

        async def sleep(seconds: float, name: str) -> None:
            await emulator.sleep(seconds)
            woken.append(name)

        await asyncio.gather(sleep(9, "late"), sleep(3, "early"), asyncio.to_thread(clock.sleep, 1))
        moving.cancel()
        return woken

    assert asyncio.run(look()) == ["early", "late"]


def test_an_event_that_is_set_ends_the_waiting_though_no_time_passes() -> None:
    event = threading.Event()
    event.set()
    assert SharedClock(60).wait(event, 1000)
