"""A loop that retries a function after transient errors, for a limited time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from zenml_azureml.clock import Time

T = TypeVar("T")


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


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("no error")
