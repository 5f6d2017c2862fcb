"""The known state of a watched job, and its progress lines."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.azure.cli_hints import Address
from zenml_azureml.azure.jobs.status import JobPhase, phase_of
from zenml_azureml.azure.logs.tail import LogEnd
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.run_history import RunDetails

#: Time between two progress lines of a job that has no log yet.
PROGRESS_INTERVAL = timedelta(seconds=60)


@dataclass
class JobHandle:
    """The state of one job as the monitor knows it.

    Thread-safe to read: its fields are replaced, never changed in place. The monitor's thread writes what it
    learns from the status, one of its log readers what it learns from the log.

    Attributes:
        name: The job's name.
        status: Its status as Azure reports it; empty until it is known.
        studio_url: Its page in Studio; empty until it is known.
        compute: Name of its compute; empty for serverless.
        tags: Its tags; none until they are known.
        details: Its run history, once it has ended.
        log_end: The end of its log, once it has ended.
        log_shown: True if this process has shown the whole log.
        waited: Time for which it has been seen waiting for its compute.
        error: The reason why it can no longer be watched.
        held_until: The end of its hold, if its step has failed and it is held open; it is settled then, although it has
            not ended.
        succeeded_before: True if its step has reported its success before the job was cut short: its end is a success.
        address: Its workspace; None if unknown.
        time: Source of time and of pauses.
    """

    name: str
    status: str = ""
    studio_url: str = ""
    compute: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    details: RunDetails | None = None
    log_end: LogEnd = field(default_factory=LogEnd)
    log_shown: bool = False
    waited: timedelta = timedelta()
    error: AzureMLError | None = None
    held_until: datetime | None = None
    succeeded_before: bool = False
    address: Address | None = None
    time: Time = field(default=SYSTEM_TIME, repr=False)
    _settled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def phase(self) -> JobPhase:
        """Its phase; waiting while its status is unknown."""
        return phase_of(self.status) if self.status else JobPhase.WAITING

    @property
    def is_over(self) -> bool:
        """True if nothing of its step happens in it any more: it has ended, or it is held open."""
        return self.phase.ended or self.held_until is not None

    @property
    def vault_secret(self) -> str:
        """Address of the key vault secret that holds its secrets; empty if there is none or it is not known yet."""
        return self.tags.get(tags.VAULT_SECRET, "")

    @property
    def settled(self) -> bool:
        """True if its end is known and its log read, or if watching it has failed."""
        return self._settled.is_set()

    def settle(self, error: AzureMLError | None = None) -> None:
        """Wake all threads that wait: nothing will change any more."""
        self.error = error
        self._settled.set()

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Wait until it is settled.

        Args:
            timeout: The longest time to wait; None for no limit.

        Returns:
            True if it is settled.
        """
        return self.time.wait(self._settled, None if timeout is None else timeout.total_seconds())


class Progress:
    """The progress lines of a job that has not started to run.

    Args:
        time: Source of time.

    Attributes:
        waited: Time for which it has been waiting for its compute, without interruption.
    """

    def __init__(self, time: Time) -> None:
        self.waited = timedelta()
        self._time = time
        self._first: float | None = None
        self._told_status = ""
        self._told_at = 0.0

    def after(self, status: str, compute: str) -> str:
        """Process a job's status; return a progress line if one is due, otherwise an empty text.

        Args:
            status: The status as Azure reports it.
            compute: Name of its compute; empty for serverless.
        """
        if status == "Running":
            # If it is preempted and queued again, its wait starts again: `queue_timeout_minutes` limits each wait.
            self._first = None
        if phase_of(status) not in (JobPhase.WAITING, JobPhase.PREPARING):
            return ""
        now = self._time.monotonic()
        self._first = now if self._first is None else self._first
        self.waited = timedelta(seconds=now - self._first)
        due = now - self._told_at >= PROGRESS_INTERVAL.total_seconds()
        if status == self._told_status and not due:
            return ""
        self._told_status, self._told_at = status, now
        seconds = int(self.waited.total_seconds())
        where = f"on `{compute}`" if compute else "on serverless compute"
        return f"{status} {where}, {seconds} s so far" if seconds else f"{status} {where}"
