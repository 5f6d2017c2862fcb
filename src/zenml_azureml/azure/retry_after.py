"""Pauses that Azure requests with `Retry-After`: parsed, capped and logged."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

logger = logging.getLogger(__name__)

#: The longest pause within the SDK's own retries and pollers. The retries of this package wait as long as Azure
#: requests, within `max_unreachable_minutes`.
LONGEST_PAUSE_SECONDS = 30.0

#: Upper limit for a requested pause, also for `inf` and a date of the next century.
LONGEST_WISH_SECONDS = 7 * 86_400.0

#: A pause of this length or longer is logged.
_WORTH_A_LINE = 10.0

#: The second and the third are in milliseconds. Source: azure-core, `get_retry_after`.
_HEADERS = ("Retry-After", "retry-after-ms", "x-ms-retry-after-ms")

#: Seconds that are left of the timeout of this thread's activity.
_left: ContextVar[Callable[[], float] | None] = ContextVar("zenml_azureml_seconds_left", default=None)


def wished_pause(text: str, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` requests.

    Args:
        text: The header's value: seconds, or a date.
        now: The present; the machine's own by default.

    Returns:
        From 0 to a week; None if the text is neither seconds nor a date.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
            date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
            seconds = (date - (now or datetime.now(timezone.utc))).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(0.0, min(seconds, LONGEST_WISH_SECONDS))


def make_readable(headers: MutableMapping[str, str]) -> None:
    """Rewrite the headers that request a pause, so that azure-core can read any value."""
    for name in _HEADERS:
        text = headers.get(name)
        if text is None:
            continue
        wish = wished_pause(str(text))
        if wish is None:
            del headers[name]
        else:
            headers[name] = f"{wish:g}"


@contextmanager
def within(left: Callable[[], float]) -> Iterator[None]:
    """Limit the SDK's pauses to a timeout, for the duration of a `with`.

    Args:
        left: Seconds that are left of it.
    """
    token = _left.set(left)
    try:
        yield
    finally:
        _left.reset(token)


def capped(seconds: float) -> float:
    """Return the pause to make if the SDK requests one of this length, and log a long pause."""
    wished = 0.0 if math.isnan(seconds) else max(0.0, seconds)
    left = _left.get()
    pause = min(wished, LONGEST_PAUSE_SECONDS, math.inf if left is None else max(0.0, left()))
    if wished > pause:
        logger.warning("Azure asks for a pause of %.0f s; the next request follows in %.0f s", wished, pause)
    elif pause >= _WORTH_A_LINE:
        logger.info("Pausing for %.0f s before the next request to Azure", pause)
    return pause
