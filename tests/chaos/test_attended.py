"""The time that an interrupted process has to let go."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.chaos.attended import LETS_GO_WITHIN, AttendedProcess
from tests.chaos.shared_clock import SharedClock


@pytest.fixture
def clock() -> SharedClock:
    return SharedClock(20)


@pytest.fixture
def process(clock: SharedClock) -> Iterator[AttendedProcess]:
    mine, its = socket.socketpair()
    with mine, its, subprocess.Popen(["sleep", "600"]) as living:
        yield AttendedProcess(living.pid, mine, clock)
        living.kill()


def _pass(clock: SharedClock, seconds: float) -> None:
    clock.cells[0] += seconds


def test_it_counts_from_the_interruption(process: AttendedProcess, clock: SharedClock) -> None:
    _pass(clock, 100)
    assert process.let_go(0) == (0, 0)
    process.note_interruption()
    _pass(clock, 40)
    assert process.take_in(True)
    assert process.let_go(0)[0] == 40


def test_it_counts_from_when_zenml_is_there_again(process: AttendedProcess, clock: SharedClock) -> None:
    process.note_interruption()
    _pass(clock, 3)
    assert not process.take_in(False)
    _pass(clock, 180)
    assert not process.take_in(False)
    assert process.let_go(0)[0] == 183
    assert process.take_in(True)
    _pass(clock, 7)
    assert process.take_in(True)
    assert process.let_go(0)[0] == 7


def test_no_process_hangs_before_time_has_passed_on_both_clocks(process: AttendedProcess, clock: SharedClock) -> None:
    process.note_interruption()
    _pass(clock, 2 * LETS_GO_WITHIN[0])
    assert not process.hangs()
