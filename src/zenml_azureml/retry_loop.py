"""Loops with a deadline: retries after transient errors, with exponential backoff, and waits for a condition."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

from zenml_azureml.clock import Time

T = TypeVar("T")


def backoff(failures: int, longest: float, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before a retry: about 1, 2, 4, ...

    Args:
        failures: Number of failures so far, from 1.
        longest: The longest pause.
        draw: Draws a number from 0 to 1, so that many processes do not retry at the same time.
    """
    return min(longest, 2.0 ** min(failures - 1, 10)) * (0.5 + draw() / 2)


def wait_until(
    look: Callable[[], T],
    is_over: Callable[[T], bool],
    *,
    deadline: float,
    interval: float | Callable[[int], float],
    time: Time,
    check: Callable[[], None] = lambda: None,
    on_first_pause: Callable[[], None] = lambda: None,
) -> T:
    """Look again and again until the wait is over.

    Args:
        look: Looks; its errors are raised.
        is_over: True if what it has seen ends the wait.
        deadline: The moment of `time.monotonic()` after which there is no further look.
        interval: Seconds between two looks, or a function that returns them for the number of looks so far.
        time: The clock.
        check: Called after each pause; ends the wait by raising.
        on_first_pause: Called if the first look does not end the wait.

    Returns:
        What the last look has seen, also if the deadline has passed.
    """

    def report(state: tenacity.RetryCallState) -> None:
        if state.attempt_number == 1:
            on_first_pause()

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        check()

    return tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda seen: not is_over(seen)),
        stop=lambda _state: time.monotonic() >= deadline,
        wait=lambda state: interval(state.attempt_number) if callable(interval) else interval,
        sleep=pause,
        before_sleep=report,
        retry_error_callback=_last_result,
    )(look)


def retry(
    work: Callable[[], T],
    *,
    is_transient: Callable[[BaseException], bool],
    pause_after: Callable[[BaseException, int], float],
    deadline: float,
    time: Time,
    sleep: Callable[[float], None],
    on_first_failure: Callable[[BaseException], None],
) -> T:
    """Call a function, and retry it after transient errors.

    Args:
        work: The function; it may be called again after any failure.
        is_transient: True if a retry may help after this error.
        pause_after: Returns the seconds to wait after this error, which is the n-th one, from 1.
        deadline: The moment of `time.monotonic()` after which there is no retry.
        time: The clock.
        sleep: Waits for some seconds; ends the retries by raising.
        on_first_failure: Called with the first error before the first retry.

    Returns:
        The result of `work`.

    Raises:
        Exception: The last error of `work`, if it is not transient or the deadline has passed.
    """

    def report(state: tenacity.RetryCallState) -> None:
        if state.attempt_number == 1:
            on_first_failure(_error_of(state))

    def pause(state: tenacity.RetryCallState) -> float:
        left = deadline - time.monotonic()
        return max(0.0, min(pause_after(_error_of(state), state.attempt_number), left))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        stop=lambda _state: time.monotonic() >= deadline,
        wait=pause,
        sleep=sleep,
        before_sleep=report,
        reraise=True,
    )(work)


def _last_result(state: tenacity.RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("no error")
