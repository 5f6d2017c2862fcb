"""One job under watch: what each look at it, and each failure to look, means."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import error_message, explain, is_missing_workspace
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.jobs.handle import JobHandle, Progress
from zenml_azureml.azure.jobs.poller import SeenJob
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.azure.jobs.submitter import how_to_cancel
from zenml_azureml.azure.logs.streamer import LogFollower
from zenml_azureml.azure.retry import is_transient, pause_after
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError

logger = logging.getLogger(__name__)

LineHandler = Callable[[str], None]

_A_DAY = 86_400.0

#: How long reading the rest of a log may keep an ended job from being settled.
LOG_PATIENCE = timedelta(minutes=2)

#: Looks in a row that must not find a job before it is taken to be gone: right after its making, a read
#: may be answered by a part of Azure that has not heard of it.
MISSING_LOOKS = 3

SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(seconds=5)

#: A look comes late by at most so much of the time for which a job has been in its state.
LATE_BY = 1 / 300


def look_interval(in_its_state: timedelta) -> timedelta:
    """Time between two looks at a job: the longer its state has lasted, the longer it may last.

    Args:
        in_its_state: For how long its status has been the same.
    """
    return max(SHORTEST_INTERVAL, min(in_its_state * LATE_BY, LONGEST_INTERVAL))


@dataclass(frozen=True)
class WatchOptions:
    """How a job is watched.

    Attributes:
        tag: Key of a tag that this job shares with those it is watched with; empty for none.
        patience: How long Azure may be out of reach before the job is given up.
        on_line: Called with each line of its log, from one thread at a time.
        on_progress: Called with a sentence now and then, while there is no log.
        studio_url: Its page in Studio, where that is known; empty for the one that Azure tells of.
        processes_per_node: How many processes each of its nodes has; None where that is not known.
    """

    tag: str
    patience: timedelta
    on_line: LineHandler | None = None
    on_progress: LineHandler | None = None
    studio_url: str = ""
    processes_per_node: int | None = None


class Watch:
    """One job under watch. `saw` and `on_error` are for the monitor's thread, `read_log` for a log reader.

    Args:
        connection: The workspace.
        job_name: The job.
        options: How it is watched.
        time: Where the time comes from.
    """

    def __init__(self, connection: WorkspaceConnection, job_name: str, options: WatchOptions, time: Time) -> None:
        self.job = JobHandle(job_name, studio_url=options.studio_url, time=time)
        self.options = options
        self._connection = connection
        self._time = time
        self._progress = Progress(time)
        self._status_failures = _Failures(time)
        self._log_failures = _Failures(time)
        self._missing = 0
        self._changed_at = self._looked_at = -math.inf
        self._log_read_at = -math.inf
        self._follower = LogFollower(connection, job_name, time.monotonic, options.processes_per_node)

    @property
    def is_pollable(self) -> bool:
        """Whether a look at its status may tell something new."""
        return not self.job.settled and not self.job.phase.ended and self._status_failures.may_try

    def is_due_by(self, moment: float) -> bool:
        """Whether its status is to be looked at until a moment, in seconds of its time."""
        if self._status_failures.number:
            return True  # they say themselves when to try again
        interval = look_interval(timedelta(seconds=max(0.0, min(moment - self._changed_at, _A_DAY))))
        return moment - self._looked_at >= interval.total_seconds()

    def hurry(self) -> None:
        """Have it looked at soon: something is about to happen to it."""
        self._changed_at = self._time.monotonic()

    @property
    def follows_log(self) -> bool:
        """Whether somebody follows its log, which is being written."""
        return self.options.on_line is not None and self.job.phase is JobPhase.RUNNING and not self.job.settled

    def wants_log(self, interval: timedelta) -> bool:
        """Whether its log is to be read now: while it runs for whoever follows it, at its end in any case.

        Args:
            interval: Time between two looks at a log that is being written.
        """
        if self.job.settled or not self._log_failures.may_try:
            return False
        if self.job.phase.ended:
            return True
        due = self._time.monotonic() - self._log_read_at >= interval.total_seconds()
        return self.follows_log and due

    def saw(self, seen: SeenJob) -> None:
        """Take in what Azure says of the job."""
        self._status_failures.over()
        self._missing = 0
        self._looked_at = self._time.monotonic()
        if seen.status != self.job.status:
            self._changed_at = self._looked_at
        # The SDK adds the tenant to it when it submits a job or gets one, but a listing does not have it.
        self.job.studio_url = self.job.studio_url or seen.studio_url
        self.job.compute = seen.compute
        self.job.tags = seen.tags
        self.job.status = seen.status
        sentence = self._progress.after(self.job.status, self.job.compute)
        self.job.waited = self._progress.waited
        if sentence and self.options.on_progress is not None:
            self.options.on_progress(sentence)

    def on_error(self, error: Exception) -> None:
        """Take in that Azure did not tell: try on for as long as there is patience, or give the job up."""
        first = not self._status_failures.number
        self._status_failures.add(error, self.options.patience)
        if self._is_permanent(error) or self._status_failures.lasted >= self.options.patience:
            address = self._connection.address
            doing = f"watching the job `{self.job.name}`"
            failure = explain(doing, error, address) if isinstance(error, AzureError) else error
            self.job.settle(
                AzureMLError(
                    f"{failure}\nThe job may still run. To go on waiting for it: zenml-azureml jobs wait "
                    f"{self.job.name}\n{how_to_cancel(address, self.job.name)}"
                )
            )
        elif first:
            logger.warning(
                "Cannot look at the Azure ML job `%s` for now, and will try on for %.0f minutes: %s",
                self.job.name,
                self.options.patience.total_seconds() / 60,
                _words(error),
            )

    def read_log(self) -> None:
        """Read what is new in the log; all that is left of it, and settle, where the job has ended. Never raises."""
        ended = self.job.phase.ended
        self._log_read_at = self._time.monotonic()
        try:
            if not ended:
                self._show(self._follower.read_new())
            elif self.options.on_line is not None:
                self.job.details = self._follower.tell_rest(self._show)
            else:
                self.job.details = self._follower.read_end()
            self._log_failures.over()
        except Exception as error:  # noqa: BLE001 - the log is not worth the step
            self._log_failures.add(error, LOG_PATIENCE)
            refused = isinstance(error, ClientAuthenticationError) and not isinstance(error, ForeignHostError)
            may_pass = is_transient(error) or refused
            hopeless = isinstance(error, AzureError) and not may_pass
            if ended and (hopeless or self._log_failures.lasted >= LOG_PATIENCE):
                logger.warning("The log of the Azure ML job `%s` cannot be read: %s", self.job.name, _words(error))
                self._settle()
            return
        if ended:
            self.job.log_shown = self.options.on_line is not None and self._follower.is_complete
            self._settle()

    def _show(self, lines: list[str]) -> None:
        if self.options.on_line is None or self.job.settled:
            return
        try:
            for line in lines:
                self.options.on_line(line)
        except Exception as error:  # noqa: BLE001 - whoever waits must learn of it, on their thread
            self.job.settle(AzureMLError(f"Showing the log of the job `{self.job.name}` failed: {error!r}"))

    def _settle(self) -> None:
        self.job.log_end = self._follower.end
        if not self.job.settled:
            self.job.settle()

    def _is_permanent(self, error: Exception) -> bool:
        """Whether asking again cannot help: the job is gone, access to it is lost, the workspace is deleted."""
        if isinstance(error, ForeignHostError):
            return True
        if not isinstance(error, HttpResponseError) or is_transient(error):
            return False
        if isinstance(error, ClientAuthenticationError):
            return False  # what was refused may be renewed while there is patience
        if error.status_code == 404 and not is_missing_workspace(error):
            self._missing += 1
            return self._missing >= MISSING_LOOKS
        return True


class _Failures:
    """Failures in a row: since when, and when to try again."""

    def __init__(self, time: Time) -> None:
        self.number = 0
        self._time = time
        self._began = 0.0
        self._try_again_at = 0.0

    @property
    def may_try(self) -> bool:
        return not self.number or self._time.monotonic() >= self._try_again_at

    @property
    def lasted(self) -> timedelta:
        return timedelta(seconds=self._time.monotonic() - self._began) if self.number else timedelta()

    def add(self, error: Exception, patience: timedelta) -> None:
        now = self._time.monotonic()
        if not self.number:
            self._began = now
        self.number += 1
        # At the end of the patience it is tried for a last time, whatever Azure asks for.
        self._try_again_at = min(now + pause_after(error, self.number), self._began + patience.total_seconds())

    def over(self) -> None:
        self.number = 0


def _words(error: Exception) -> str:
    return error_message(error) if isinstance(error, AzureError) else repr(error)
