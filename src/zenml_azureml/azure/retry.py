"""Asking again what may be answered the next time: with growing pauses and jitter, for as long as there is patience."""

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
from zenml_azureml.azure.retry_after import wished_pause, within
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.retry_loop import retry

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: How long Azure may be out of reach before a job is given up, unless a step's settings say otherwise.
DEFAULT_PATIENCE = timedelta(minutes=30)

LONGEST_PAUSE_SECONDS = 30.0

#: A pause that is longer is Azure's own wish, and worth a line.
LONG_PAUSE_SECONDS = 60.0

_TRANSIENT_STATUSES = frozenset({408, 425, 429})


def is_transient(error: BaseException) -> bool:
    """Whether asking again may help: a network that fails, throttling, a fault on Azure's side.

    Args:
        error: What the SDK raised, or an `AzureMLError` that explains it.
    """
    error = _cause(error)
    if isinstance(error, ClientAuthenticationError):
        # azure-identity raises it too where the login server cannot be reached.
        return isinstance(error.__cause__, (ServiceRequestError, ServiceResponseError))
    if isinstance(error, (ServiceRequestError, ServiceResponseError, DecodeError)):
        return True  # the last one: a proxy's page, or an answer that was cut off
    if isinstance(error, HttpResponseError):
        status = error.status_code
        return status is None or status in _TRANSIENT_STATUSES or status >= 500
    return False


def pause_after(error: BaseException, failures: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait before asking again.

    Args:
        error: What the SDK raised, or an `AzureMLError` that explains it.
        failures: How often asking has failed, from 1.
        draw: A number from 0 to 1, so that many processes do not ask at once.

    Returns:
        About 1, 2, 4, ... at most 30; not less than Azure asks for.
    """
    longest = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(failures - 1, 10))
    return max(_retry_after(_cause(error)), longest * (0.5 + draw() / 2))


def with_retries(
    doing: str, work: Callable[[], T], patience: timedelta, time: Time, *, check: Callable[[], None] = lambda: None
) -> T:
    """Do something that asks Azure, again and again while its errors are transient.

    Args:
        doing: What is done, as a phrase: `submitting the job`.
        work: Does it; may be done again after any failure.
        patience: For how long.
        time: Where the time comes from.
        check: Called before it is done again; ends it all by raising.

    Returns:
        What `work` returned.

    Raises:
        Exception: What `work` raised last, if that is not transient or patience is over.
    """

    def warn(error: BaseException) -> None:
        logger.warning(
            "Azure did not answer as it should (%s) and is asked again, for %g minutes: %s",
            doing,
            patience.total_seconds() / 60,
            _words(_cause(error)),
        )

    def sleep(seconds: float) -> None:
        if seconds >= LONG_PAUSE_SECONDS:
            logger.warning("Azure asks for a pause of %.0f s (%s).", seconds, doing)
        time.sleep(seconds)
        check()

    deadline = time.monotonic() + patience.total_seconds()

    def limited() -> T:
        with within(lambda: deadline - time.monotonic()):
            return work()

    return retry(
        limited,
        is_transient=is_transient,
        pause_after=pause_after,
        deadline=deadline,
        time=time,
        sleep=sleep,
        on_first_failure=warn,
    )


def _cause(error: BaseException) -> BaseException:
    """What the SDK raised, where it has been explained already."""
    return error.__cause__ if isinstance(error, AzureMLError) and error.__cause__ else error


def _words(error: BaseException) -> str:
    return error_message(error) if isinstance(error, AzureError) else str(error)


def _retry_after(error: BaseException) -> float:
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After") if response is not None else None
    return (wished_pause(str(asked)) if asked else None) or 0.0  # neither seconds nor a date: as if it were not there
