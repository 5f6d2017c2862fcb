"""Retries of transient errors, with exponential backoff and jitter, until a timeout."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from zenml_azureml.azure.errors import error_message
from zenml_azureml.azure.refusals.recognition import refusal_of
from zenml_azureml.azure.retry_after import wished_pause, within
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.retry_loop import backoff, retry

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Longest time for which Azure may be unreachable before a step fails, unless its settings have another value.
DEFAULT_PATIENCE = timedelta(minutes=30)

LONGEST_PAUSE_SECONDS = 30.0

#: A longer pause is one that Azure requests; it is logged.
LONG_PAUSE_SECONDS = 60.0

_TRANSIENT_STATUSES = frozenset({408, 425, 429})


def is_transient(error: BaseException) -> bool:
    """Return True if a retry may help: a network failure, throttling, a fault on Azure's side.

    Args:
        error: The SDK's error, or an `AzureMLError` that explains it.
    """
    error = _cause(error)
    found = refusal_of(error)
    if found is not None:
        return found.refusal.may_pass
    if isinstance(error, ClientAuthenticationError):
        # azure-identity raises it too if the login server cannot be reached.
        return isinstance(error.__cause__, (ServiceRequestError, ServiceResponseError))
    if isinstance(error, (ServiceRequestError, ServiceResponseError, DecodeError)):
        return True  # the last one: a proxy's page, or an answer that was cut off
    if isinstance(error, HttpResponseError):
        status = error.status_code
        # 501: what is not implemented will not be a moment later either.
        return status is None or status in _TRANSIENT_STATUSES or (status >= 500 and status != 501)
    return False


def pause_after(error: BaseException, failures: int, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before a retry.

    Args:
        error: The SDK's error, or an `AzureMLError` that explains it.
        failures: Number of failures so far, from 1.
        draw: Draws a number from 0 to 1, so that many processes do not retry at the same time.

    Returns:
        About 1, 2, 4, ... at most 30; not less than Azure requests.
    """
    return max(_retry_after(_cause(error)), backoff(failures, LONGEST_PAUSE_SECONDS, draw))


def with_retries(
    action: str, work: Callable[[], T], patience: timedelta, time: Time, *, check: Callable[[], None] = lambda: None
) -> T:
    """Call a function that sends requests to Azure, and retry while its errors are transient.

    Args:
        action: What the function does, as an infinitive: `submit the job`.
        work: The function; may be called again after any failure.
        patience: The timeout.
        time: Source of time.
        check: Called before each retry; stops the retries by raising.

    Returns:
        The result of `work`.

    Raises:
        Exception: The last error of `work`, if it is not transient or the timeout has passed.
    """

    def warn(error: BaseException) -> None:
        logger.warning(
            "Failed to %s; retrying for up to %g minutes: %s",
            action,
            patience.total_seconds() / 60,
            _words(_cause(error)),
        )

    def sleep(seconds: float) -> None:
        if seconds >= LONG_PAUSE_SECONDS:
            logger.warning("Azure asks for a pause of %.0f s before the next attempt to %s", seconds, action)
        time.sleep(seconds)
        check()

    deadline = time.monotonic() + patience.total_seconds()
    return retry(
        within(lambda: deadline - time.monotonic())(work),
        is_transient=is_transient,
        pause_after=pause_after,
        deadline=deadline,
        time=time,
        sleep=sleep,
        on_first_failure=warn,
    )


def _cause(error: BaseException) -> BaseException:
    """Return the SDK's error that an `AzureMLError` explains, or the error itself."""
    return error.__cause__ if isinstance(error, AzureMLError) and error.__cause__ else error


def _words(error: BaseException) -> str:
    return error_message(error) if isinstance(error, AzureError) else str(error)


def _retry_after(error: BaseException) -> float:
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After") if response is not None else None
    return (wished_pause(str(asked)) if asked else None) or 0.0  # neither seconds nor a date: ignored
