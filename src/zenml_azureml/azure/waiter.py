"""Waiting with progress lines and a deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from azure.core.polling import LROPoller

from zenml_azureml.exceptions import AzureMLError

logger = logging.getLogger(__name__)

#: Time between two lines about the same wait.
TELL_EVERY = timedelta(minutes=1)

T = TypeVar("T")

#: Longest total wait for a compute. Users report creations of some minutes.
LIMIT = timedelta(minutes=30)


class Waiter:
    """One wait: logs a line at once and then every minute, until the deadline.

    Args:
        label: The subject of the wait: `compute cluster `train``.
        hint: The next step after the deadline, as a sentence.
        clock: Seconds since some fixed moment.
        sleep: Sleeps that many seconds.
    """

    def __init__(
        self,
        label: str,
        hint: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._label = label
        self._do_next = hint
        self._clock = clock
        self._sleep = sleep
        self._began: float | None = None
        self._told = 0.0

    def tell(self, condition: str) -> None:
        """Log a progress line, if one is due.

        Args:
            condition: Its present state, as Azure names it: `Creating`.

        Raises:
            AzureMLError: If the deadline has passed.
        """
        now = self._clock()
        if self._began is None:
            self._began = self._told = now
            logger.info("Waiting for the %s, which is %s", self._label, condition)
            return
        waited = now - self._began
        if waited >= LIMIT.total_seconds():
            raise AzureMLError(f"The {self._label} is still {condition} after {LIMIT}.", hint=self._do_next)
        if now - self._told >= TELL_EVERY.total_seconds():
            self._told = now
            logger.info("Still waiting for the %s: %s, %.0f seconds so far", self._label, condition, waited)

    def wait(self, seconds: float, condition: str) -> None:
        """Log a progress line, if one is due, and sleep.

        Raises:
            AzureMLError: If the deadline has passed.
        """
        self.tell(condition)
        self._sleep(seconds)

    def until_done(self, poller: LROPoller[T], condition: str) -> T:
        """Wait for a long-running operation, which its poller polls on a thread of its own.

        Args:
            poller: The operation.
            condition: The compute's state during the operation: `Creating`.

        Returns:
            The result of the operation.

        Raises:
            azure.core.exceptions.AzureError: If it failed.
            AzureMLError: If the deadline has passed; the operation itself continues.
        """
        while not poller.done():
            self.tell(condition)
            poller.wait(1)
        return poller.result()
