"""Loops with a deadline, on a clock of the test's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.still_time import StillTime
from zenml_azureml.retry_loop import backoff, wait_until


@given(ends_at=st.integers(0, 50), lasts=st.integers(0, 50), interval=st.integers(1, 7))
def test_a_wait_ends_with_its_condition_or_with_the_first_look_after_the_deadline(
    ends_at: int, lasts: int, interval: int
) -> None:
    time, looks, reported = StillTime(100.0), list[float](), list[float]()

    def look() -> bool:
        looks.append(time.now - 100)
        return looks[-1] >= ends_at

    over = wait_until(
        look,
        bool,
        deadline=100.0 + lasts,
        interval=interval,
        time=time,
        on_first_pause=lambda: reported.append(time.now),
    )

    expected = [0]
    while expected[-1] < min(ends_at, lasts):
        expected.append(expected[-1] + interval)
    assert looks == expected
    assert over == (looks[-1] >= ends_at)
    assert reported == ([100.0] if len(looks) > 1 else [])


def test_an_error_of_a_look_ends_the_wait() -> None:
    time = StillTime(100.0)

    def look() -> bool:
        raise ValueError("no such job")

    with pytest.raises(ValueError, match="no such job"):
        wait_until(look, bool, deadline=200.0, interval=1, time=time)
    assert time.now == 100.0


def test_a_check_after_a_pause_ends_the_wait_and_pauses_may_grow() -> None:
    time, looks, checks = StillTime(0.0), list[float](), list[float]()

    def look() -> bool:
        looks.append(time.now)
        return False

    def check() -> None:
        checks.append(time.now)
        if time.now > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_until(look, bool, deadline=99.0, interval=float, time=time, check=check)
    assert looks == [0, 1, 3]
    assert checks == [1, 3, 6]


@given(failures=st.integers(1, 10_000), draw=st.floats(0, 1), longest=st.floats(0.1, 100))
def test_pauses_double_up_to_the_longest_and_differ_between_processes(
    failures: int, draw: float, longest: float
) -> None:
    most = min(longest, 2.0 ** min(failures - 1, 10))

    assert most / 2 <= backoff(failures, longest, lambda: draw) <= most
    assert backoff(failures, longest, lambda: 0) < backoff(failures, longest, lambda: 1)
