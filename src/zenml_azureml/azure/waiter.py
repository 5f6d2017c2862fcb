"""Waiting that is told, and that ends."""

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

#: How long to wait for a compute altogether. Users report creations of some minutes.
LIMIT = timedelta(minutes=30)


class Waiter:
    """One wait: says at once and then every minute what is waited for, until it has been too long.

    Args:
        label: What is waited for: `compute cluster `train``.
        hint: What to do when it has been too long, as a sentence.
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
        """Say what is waited for, if it is time to.

        Args:
            condition: How it is now, in Azure's word: `Creating`.

        Raises:
            AzureMLError: If it has been too long.
        """
        now = self._clock()
        if self._began is None:
            self._began = self._told = now
            logger.info("Waiting for the %s, which is %s.", self._label, condition)
            return
        waited = now - self._began
        if waited >= LIMIT.total_seconds():
            raise AzureMLError(f"The {self._label} is still {condition} after {LIMIT}.", hint=self._do_next)
        if now - self._told >= TELL_EVERY.total_seconds():
            self._told = now
            logger.info("Still waiting for the %s: %s, %.0f seconds so far.", self._label, condition, waited)

    def wait(self, seconds: float, condition: str) -> None:
        """Say what is waited for, if it is time to, and sleep.

        Raises:
            AzureMLError: If it has been too long.
        """
        self.tell(condition)
        self._sleep(seconds)

    def until_done(self, poller: LROPoller[T], condition: str) -> T:
        """Wait for a long-running operation, which its poller looks at in a thread of its own.

        Args:
            poller: The operation.
            condition: What it makes of the compute meanwhile: `Creating`.

        Returns:
            What came of it.

        Raises:
            azure.core.exceptions.AzureError: If it failed.
            AzureMLError: If it has been too long; the operation itself goes on.
        """
        while not poller.done():
            self.tell(condition)
            poller.wait(1)
        return poller.result()
