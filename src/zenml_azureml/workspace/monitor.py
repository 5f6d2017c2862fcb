"""Watches the jobs of a workspace from one thread, and tells whoever waits for them.

Thread-safe: `JobMonitor` guards its table of jobs with one lock. A `WatchedJob` is written by the monitor's
thread alone; its fields are replaced, never changed in place, so readers on other threads need no lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError

from zenml_azureml.failures import AzureMLError
from zenml_azureml.workspace.connection import WorkspaceConnection
from zenml_azureml.workspace.errors import azure_words, explain
from zenml_azureml.workspace.job import how_to_cancel
from zenml_azureml.workspace.logs import LogFollower, RunDetails
from zenml_azureml.workspace.status import JobPhase, phase_of

logger = logging.getLogger(__name__)

POLL_INTERVAL = timedelta(seconds=1)

#: How long Azure may be out of reach before a job is given up.
MAX_UNREACHABLE = timedelta(minutes=30)

#: Time between two accounts of a job that has nothing to show yet.
PROGRESS_INTERVAL = timedelta(seconds=60)

LineHandler = Callable[[str], None]


@dataclass
class WatchedJob:
    """What the monitor knows of one job.

    Attributes:
        name: The job's name.
        status: Its status in Azure's words; empty until it is known.
        studio_url: Its page in Studio; empty until it is known.
        details: Run history's account of it, once it has ended.
        log_tail: The last lines of its log, once it has ended.
        waited: How long it has been seen waiting for its compute.
        error: Why it can no longer be watched.
    """

    name: str
    status: str = ""
    studio_url: str = ""
    details: RunDetails | None = None
    log_tail: tuple[str, ...] = ()
    waited: timedelta = timedelta()
    error: AzureMLError | None = None
    _looked_at: threading.Event = field(default_factory=threading.Event, repr=False)
    _settled: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def phase(self) -> JobPhase:
        """Its phase; waiting, while nothing is known."""
        return phase_of(self.status) if self.status else JobPhase.WAITING

    @property
    def settled(self) -> bool:
        """Whether the end is known and its log read, or watching has failed."""
        return self._settled.is_set()

    def wait_for_first_look(self, timeout: timedelta) -> None:
        """Wait until something is known of it, or the time is over."""
        self._looked_at.wait(timeout.total_seconds())

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Wait until it is settled.

        Args:
            timeout: The longest time to wait; None for as long as it takes.

        Returns:
            Whether it is settled.
        """
        return self._settled.wait(None if timeout is None else timeout.total_seconds())


class JobMonitor:
    """Watches jobs of one workspace.

    Args:
        connection: The workspace.
        poll_interval: Time between two looks at the jobs.
        clock: Seconds since some fixed moment.
    """

    def __init__(
        self,
        connection: WorkspaceConnection,
        poll_interval: timedelta = POLL_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._poll_interval = poll_interval
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: dict[str, _Watch] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def watch(
        self, job_name: str, on_line: LineHandler | None = None, on_progress: LineHandler | None = None
    ) -> WatchedJob:
        """Begin to watch a job, or go on with it.

        Args:
            job_name: The job.
            on_line: Called on the monitor's thread with each line of its log.
            on_progress: Called there with a sentence now and then, while there is no log.

        Returns:
            What is known of the job, now and later.
        """
        with self._lock:
            watch = self._watches.get(job_name)
            if watch is None:
                watch = _Watch(self._connection, job_name, on_line, on_progress, self._clock)
                self._watches[job_name] = watch
                self._wake.set()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="zenml-azureml-job-monitor", daemon=True)
                    self._thread.start()
            return watch.job

    def forget(self, job_name: str) -> None:
        """Stop watching a job."""
        with self._lock:
            self._watches.pop(job_name, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                watches = [watch for watch in self._watches.values() if not watch.job.settled]
                if not watches:
                    # Ends with its work, so that an idle process has no thread of ours.
                    self._thread = None
                    return
                self._wake.clear()
            for watch in watches:
                watch.look()
            # A new job is looked at without delay.
            self._wake.wait(self._poll_interval.total_seconds())


class _Watch:
    """One look after another at one job; used by the monitor's thread only."""

    def __init__(
        self,
        connection: WorkspaceConnection,
        job_name: str,
        on_line: LineHandler | None,
        on_progress: LineHandler | None,
        clock: Callable[[], float],
    ) -> None:
        self.job = WatchedJob(job_name)
        self._connection = connection
        self._on_line = on_line
        self._clock = clock
        self._follower = LogFollower(connection, job_name)
        self._unreachable_since: float | None = None
        self._progress = Progress(clock)
        self._on_progress = on_progress

    def look(self) -> None:
        """Look at status and log. Never raises: what cannot be mended is the job's `error`."""
        try:
            self._look()
            self._unreachable_since = None
        except AzureError as error:
            self._cannot_look(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it, on their thread
            self._settle(AzureMLError(f"Watching the job `{self.job.name}` failed: {error!r}"))
        finally:
            self.job._looked_at.set()

    def _look(self) -> None:
        azure_job = self._connection.client.jobs.get(self.job.name)
        # The SDK's status is an Enum whose `str` is not its value.
        status = str(getattr(azure_job.status, "value", azure_job.status))
        studio = (azure_job.services or {}).get("Studio")
        self.job.studio_url = str(studio.endpoint) if studio else ""
        self.job.status = status
        sentence = self._progress.after(status)
        self.job.waited = self._progress.waited
        if sentence and self._on_progress is not None:
            self._on_progress(sentence)
        if self.job.phase.ended:
            self._emit_rest()
            self._settle()
        elif self.job.phase is JobPhase.RUNNING and self._on_line is not None:
            self._emit(self._follower.read_new())

    def _emit_rest(self) -> None:
        lines, self.job.details = self._follower.read_rest()
        self._emit(lines)
        self.job.log_tail = tuple(self._follower.tail)

    def _emit(self, lines: list[str]) -> None:
        for line in lines:
            if self._on_line is not None:
                self._on_line(line)

    def _cannot_look(self, error: AzureError) -> None:
        now = self._clock()
        if self._unreachable_since is None:
            self._unreachable_since = now
            logger.warning(
                "Cannot look at the job `%s` for now, and will try on: %s",
                self.job.name,
                azure_words(error),
            )
        out_of_reach = timedelta(seconds=now - self._unreachable_since)
        if _is_permanent(error) or out_of_reach >= MAX_UNREACHABLE:
            address = self._connection.address
            failure = explain(f"watching the job `{self.job.name}`", error, address)
            self._settle(AzureMLError(f"{failure}\nThe job may still run. {how_to_cancel(address, self.job.name)}"))

    def _settle(self, error: AzureMLError | None = None) -> None:
        self.job.error = error
        self.job._settled.set()


class Progress:
    """What there is to tell of a job that has not begun to run.

    Args:
        clock: Seconds since some fixed moment.

    Attributes:
        waited: How long it has been waiting for its compute.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.waited = timedelta()
        self._clock = clock
        self._first: float | None = None
        self._told_status = ""
        self._told_at = 0.0

    def after(self, status: str) -> str:
        """Take in a job's status; returns a sentence if it is time for one, otherwise nothing."""
        if phase_of(status) not in (JobPhase.WAITING, JobPhase.PREPARING):
            return ""
        now = self._clock()
        self._first = now if self._first is None else self._first
        self.waited = timedelta(seconds=now - self._first)
        due = now - self._told_at >= PROGRESS_INTERVAL.total_seconds()
        if status == self._told_status and not due:
            return ""
        self._told_status, self._told_at = status, now
        seconds = int(self.waited.total_seconds())
        return f"{status}, {seconds} s so far" if seconds else status


def _is_permanent(error: AzureError) -> bool:
    """Whether asking again cannot help: the job is gone, or access to it is lost."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    return status is not None and 400 <= status < 500 and status not in (408, 429)
