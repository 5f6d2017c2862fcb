"""The watch of one job: handles each poll of its status, and each poll that fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import error_message, is_missing_workspace, to_azureml_error
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.jobs.handle import JobHandle, Progress
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.azure.jobs.submitter import how_to_cancel
from zenml_azureml.azure.logs.streamer import LogFollower
from zenml_azureml.azure.refusals.recognition import refusal_of
from zenml_azureml.azure.retry import is_transient, pause_after
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import one_line

logger = logging.getLogger(__name__)

LineHandler = Callable[[str], None]

_A_DAY = 86_400.0

#: Longest time for which reading the rest of a log may delay the end of a job.
LOG_PATIENCE = timedelta(minutes=2)

#: Number of polls in a row that must not find a job before it counts as deleted: right after its submission, a part
#: of Azure that does not know it yet may answer.
MISSING_LOOKS = 3

SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(seconds=5)

#: Largest delay of a poll, as a share of the time for which the job has been in its state.
LATE_BY = 1 / 300


def look_interval(in_its_state: timedelta) -> timedelta:
    """Return the time between two polls of a job: the longer its state has lasted, the longer the interval.

    Args:
        in_its_state: Time for which its status has been the same.
    """
    return max(SHORTEST_INTERVAL, min(in_its_state * LATE_BY, LONGEST_INTERVAL))


@dataclass(frozen=True)
class WatchOptions:
    """Options of a watch.

    Attributes:
        tag: Key of a tag that the jobs watched together have in common; empty for none.
        patience: Longest time for which Azure may be unreachable before the watch fails.
        on_line: Called with each line of its log, from one thread at a time.
        on_progress: Called with a progress line from time to time, while there is no log.
        studio_url: Its page in Studio, if known; empty for the one that Azure returns.
        processes_per_node: Number of processes on each of its nodes; None if unknown.
    """

    tag: str
    patience: timedelta
    on_line: LineHandler | None = None
    on_progress: LineHandler | None = None
    studio_url: str = ""
    processes_per_node: int | None = None


class Watch:
    """The watch of one job. `saw` and `on_error` are for the monitor's thread, `read_log` for a log reader.

    Args:
        connection: The workspace.
        job_name: The job.
        options: Options of the watch.
        time: Source of time.
    """

    def __init__(self, connection: WorkspaceConnection, job_name: str, options: WatchOptions, time: Time) -> None:
        self.job = JobHandle(job_name, studio_url=options.studio_url, address=connection.address, time=time)
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
        """True if a poll of its status may show something new."""
        return not self.job.settled and not self.job.phase.ended and self._status_failures.may_try

    def is_due_by(self, moment: float) -> bool:
        """Return True if its status is to be polled by a moment, in seconds of its clock."""
        if self._status_failures.number:
            return True  # `is_pollable` has checked when to try again
        interval = look_interval(timedelta(seconds=max(0.0, min(moment - self._changed_at, _A_DAY))))
        return moment - self._looked_at >= interval.total_seconds()

    def hurry(self) -> None:
        """Poll it soon: its status is about to change."""
        self._changed_at = self._time.monotonic()

    @property
    def follows_log(self) -> bool:
        """True if its log is being written, and shown to the user."""
        return self.options.on_line is not None and self.job.phase is JobPhase.RUNNING and not self.job.settled

    def wants_log(self, interval: timedelta) -> bool:
        """Return True if its log is to be read now: while it runs if the log is shown, and always at its end.

        Args:
            interval: Time between two polls of a log that is being written.
        """
        if self.job.settled or not self._log_failures.may_try:
            return False
        if self.job.is_over:
            return True
        due = self._time.monotonic() - self._log_read_at >= interval.total_seconds()
        return self.follows_log and due

    def saw(self, seen: JobSnapshot) -> None:
        """Process a poll of the job."""
        self._status_failures.over()
        self._missing = 0
        self._looked_at = self._time.monotonic()
        if seen.status != self.job.status:
            self._changed_at = self._looked_at
        # The SDK adds the tenant to the URL when it submits or gets a job; a listing does not have it.
        self.job.studio_url = self.job.studio_url or seen.studio_url
        self.job.compute = seen.compute
        self.job.tags = seen.tags
        self.job.status = seen.status
        sentence = self._progress.after(self.job.status, self.job.compute)
        self.job.waited = self._progress.waited
        if sentence and self.options.on_progress is not None:
            self.options.on_progress(sentence)

    def on_error(self, error: Exception) -> None:
        """Process a poll that failed: keep trying until the timeout, or fail the watch."""
        first = not self._status_failures.number
        self._status_failures.add(error, self.options.patience)
        if self._is_permanent(error) or self._status_failures.lasted >= self.options.patience:
            address = self._connection.address
            action = f"watch the job `{self.job.name}`"
            failure = to_azureml_error(action, error, address) if isinstance(error, AzureError) else error
            self.job.settle(
                AzureMLError(
                    f"{failure}\nThe job may still run. To wait for it: zenml-azureml jobs wait {self.job.name}\n"
                    f"{how_to_cancel(address, self.job.name)}"
                )
            )
        elif first:
            logger.warning(
                "Cannot get the status of Azure ML job `%s`; retrying for up to %.0f minutes: %s",
                self.job.name,
                self.options.patience.total_seconds() / 60,
                self._words(error),
            )

    def read_log(self) -> None:
        """Read new lines of the log; if the job has ended, read the rest and settle. Never raises."""
        ended = self.job.is_over
        self._log_read_at = self._time.monotonic()
        try:
            if not ended:
                self._show(self._follower.read_new())
            elif self.options.on_line is not None:
                self.job.details = self._follower.tell_rest(self._show)
            else:
                self.job.details = self._follower.read_end()
            self._log_failures.over()
        except Exception as error:  # noqa: BLE001 - a log that cannot be read must not fail the step
            self._log_failures.add(error, LOG_PATIENCE)
            may_pass = is_transient(error) or _may_be_renewed(error)
            hopeless = isinstance(error, AzureError) and not may_pass
            if ended and (hopeless or self._log_failures.lasted >= LOG_PATIENCE):
                logger.warning("The log of the Azure ML job `%s` cannot be read: %s", self.job.name, self._words(error))
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
        except Exception as error:  # noqa: BLE001 - the waiting thread must get it
            self.job.settle(AzureMLError(f"Showing the log of the job `{self.job.name}` failed: {error!r}"))

    def _settle(self) -> None:
        self.job.log_end = self._follower.end
        if not self.job.settled:
            self.job.settle()

    def _is_permanent(self, error: Exception) -> bool:
        """Return True if a retry cannot help: the job is deleted, access to it is lost, the workspace is deleted."""
        if isinstance(error, ForeignHostError):
            return True
        if not isinstance(error, HttpResponseError) or is_transient(error) or _may_be_renewed(error):
            return False
        if error.status_code == 404 and not is_missing_workspace(error):
            self._missing += 1
            return self._missing >= MISSING_LOOKS
        return True

    def _words(self, error: Exception) -> str:
        """Return the message of an error in one line, with the next steps if it is a known refusal."""
        if not isinstance(error, AzureError):
            return repr(error)
        found = refusal_of(error)
        advice = f" {found.advice(self._connection.address)}" if found is not None else ""
        return one_line(f"{error_message(error)}{advice}")


class _Failures:
    """Failures in a row: their start, and the time of the next try."""

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
        # The last try is at the timeout, even if Azure asks for a longer pause.
        self._try_again_at = min(now + pause_after(error, self.number), self._began + patience.total_seconds())

    def over(self) -> None:
        self.number = 0


def _may_be_renewed(error: Exception) -> bool:
    """Return True if a sign-in failed, which its user or its source may renew before the timeout."""
    if not isinstance(error, ClientAuthenticationError) or isinstance(error, ForeignHostError):
        return False
    found = refusal_of(error)
    return found is None or found.refusal.is_about_token
