"""Streams a job's logs with ranged reads, each line once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from azure.core.exceptions import AzureError, HttpResponseError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.failures.classifier import exit_code_of, signal_of
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.jobs.run_history import RunDetails, fetch_run_details
from zenml_azureml.azure.logs.blob_reader import LARGEST_PART, BlobPart, storage_error_message
from zenml_azureml.azure.logs.files import label_of, order
from zenml_azureml.azure.logs.followed_file import FollowedFile
from zenml_azureml.azure.logs.tail import LogEnd, explaining_tail
from zenml_azureml.azure.refusals.recognition import refusal_of
from zenml_azureml.azure.refusals.table import NETWORK_RULES
from zenml_azureml.contract.usage import without_report
from zenml_azureml.safe_text import one_line, safe_name, safe_text

__all__ = ["LogFollower", "RunDetails", "fetch_run_details"]

#: Largest number of bytes that `read_new` reads: this limits the memory, and the time for which other logs wait.
BYTES_PER_LOOK = LARGEST_PART

#: Largest number of files that `read_new` reads; the files of many processes take turns.
FILES_PER_LOOK = 8

#: Seconds between two listings of the files; the interval grows while there are no new files.
FIRST_LISTING_INTERVAL = 2.0
LONGEST_LISTING_INTERVAL = 60.0

#: Largest number of logs of one job that are followed.
MOST_FILES = 1_000

#: Longest time, in seconds, for reading the rest of the logs after a job has ended.
LONGEST_REST_SECONDS = 30 * 60.0

#: Azure's reference to the log of the process that failed. Source: Azure/azureml-examples#2614.
_LOG_NAMED = re.compile(r"check log file '([^']+)' for error details")

#: Number of bytes that `read_end` reads of each log.
_END_BYTES = 64 * 1024


class LogFollower:
    """Reads new lines of a job's logs. Not thread-safe: one thread at a time may read.

    Every line of every log is returned once, the lines of one log in order. If there are several logs, each line
    begins with the label of its log, e.g. `[node 1 rank 3] `. Lines that were read before a request failed are returned
    by the next call.

    If storage refuses a log although its URL is new, a line reports that. No error is raised, because the job is not
    affected, and the log is tried again after the next listing of the files.

    Args:
        connection: The workspace.
        job_name: The job.
        clock: Seconds since some fixed moment.
        processes_per_node: Number of processes on each of the job's nodes; None if unknown.
    """

    def __init__(
        self,
        connection: WorkspaceConnection,
        job_name: str,
        clock: Callable[[], float] = time.monotonic,
        processes_per_node: int | None = None,
    ) -> None:
        self._connection = connection
        self._job_name = job_name
        self._clock = clock
        self._processes_per_node = processes_per_node
        self._named, self._named_was_killed = "", False
        self._files: dict[str, FollowedFile] = {}
        self._untold: list[str] = []
        self._turn = 0
        self._listing_interval = FIRST_LISTING_INTERVAL
        self._listed_at = 0.0
        #: True if none of the URLs has been used with success since they were last requested.
        self._urls_are_new = False
        self._told_of_many = False

    @property
    def is_complete(self) -> bool:
        """True if storage has refused none of the logs."""
        return not any(file.refusal_was_told for file in self._files.values())

    @property
    def end(self) -> LogEnd:
        """The last lines read, without terminal codes: if there are several logs, those that explain a failure best."""
        files = list(self._files.values())
        named = next((file.tail for file in files if file.path == self._named), None)
        tails = [file.tail for file in files]
        explaining = explaining_tail(tails, named, named_was_killed=self._named_was_killed)
        labels = {id(file.tail): file.label for file in files}
        first = next((file.tail for file in files if file.tail.attempt == explaining.attempt), explaining)
        label = labels.get(id(explaining), "") if len(files) > 1 else ""
        last_attempt = next((tail.attempt for tail in reversed(tails) if tail.usage), "")
        return LogEnd(
            explaining.lines,
            label,
            is_first=explaining is first,
            is_named=named is None or explaining is named,
            is_blamed=explaining is named or bool(explaining.failed_at) or explaining.traceback_at is not None,
            exception=explaining.exception,
            # Only of the last attempt: Azure has restarted the job after the ones before it.
            ended_itself=next(
                (tail.ended_itself for tail in tails if tail.attempt == explaining.attempt and tail.ended_itself), ""
            ),
            usages=tuple(usage for tail in tails if tail.attempt == last_attempt and (usage := tail.usage) is not None),
        )

    def read_new(self) -> list[str]:
        """Return lines that were completed since the last call: more than a few megabytes take several calls.

        Raises:
            azure.core.exceptions.AzureError: If run history or storage cannot be read, and nothing was read
                before; nothing is lost, the next call continues from the same offset.
        """
        try:
            self._look()
        except AzureError:
            # Lines do not wait for a file that cannot be read: the next call tries that again.
            if not self._untold:
                raise
        return self._tell()

    def read_rest(self) -> tuple[list[str], RunDetails]:
        """Return the remaining lines of a job that has ended, including an unfinished last line, and its final details.

        Raises:
            azure.core.exceptions.AzureError: If run history or storage cannot be read; nothing is lost, the next
                call returns the lines that this one has read.
        """
        lines: list[str] = []
        try:
            details = self.tell_rest(lines.extend)
        except AzureError:
            self._untold = lines + self._untold
            raise
        return lines, details

    def tell_rest(self, on_lines: Callable[[list[str]], None]) -> RunDetails:
        """Do as `read_rest`, a few megabytes at a time.

        Args:
            on_lines: Called with the lines of each part.

        Returns:
            The job's final details.

        Raises:
            azure.core.exceptions.AzureError: As `read_rest`; lines are not passed on twice.
        """
        began = self._clock()
        details = self._list_files()
        for file in list(self._files.values()):
            reads_on = True
            while reads_on:
                if self._clock() - began > LONGEST_REST_SECONDS:
                    minutes = LONGEST_REST_SECONDS / 60
                    raise AzureError(f"The log was not read to its end: that takes longer than {minutes:.0f} minutes.")
                reads_on = self._read(file, BYTES_PER_LOOK) > 0 and file.has_more
                on_lines(self._tell())
        self._finish_lines()
        on_lines(self._tell())
        return details

    def read_end(self) -> RunDetails:
        """Read only the last lines of each log, for the tail, if a job has ended and its log was not followed.

        Raises:
            azure.core.exceptions.AzureError: As `read_rest`.
        """
        details = self._list_files()
        for file in self._files.values():
            part = self._part_of(file, 1)
            if part is not None and part.size - file.offset > _END_BYTES:
                file.skip_to(part.size - _END_BYTES)
            self._read(file, _END_BYTES)
        self._finish_lines()
        self._untold.clear()
        return details

    def _look(self) -> None:
        if not self._files:
            self._list_files()
        self._read_in_turn()
        # Last: known files can be read even if run history cannot.
        if self._files and self._clock() - self._listed_at >= self._listing_interval:
            self._list_files()

    def _read_in_turn(self) -> None:
        files = list(self._files.values())
        left = BYTES_PER_LOOK
        for _ in range(min(len(files), FILES_PER_LOOK)):
            if left <= 0:
                break
            file = files[self._turn % len(files)]
            # Before the read: after a file that cannot be read, the next call begins with another.
            self._turn += 1
            left -= self._read(file, left)

    def _list_files(self) -> RunDetails:
        details = fetch_run_details(self._connection, self._job_name)
        self._listed_at, self._urls_are_new = self._clock(), True
        found = _LOG_NAMED.search(details.error)
        self._named = found[1] if found else ""
        # Azure ML ends the other processes with SIGTERM.
        self._named_was_killed = signal_of(exit_code_of(details.error) or 0) not in ("", "SIGTERM")
        added = details.log_urls.keys() - self._files.keys()
        # If one is new, further ones may follow soon.
        longer = min(self._listing_interval * 2, LONGEST_LISTING_INTERVAL)
        self._listing_interval = FIRST_LISTING_INTERVAL if added else longer
        for path in [path for path in details.log_urls if path in added][: MOST_FILES - len(self._files)]:
            self._files[path] = FollowedFile(path, label_of(path, self._processes_per_node), self._clock)
        for path, url in details.log_urls.items():
            if path in self._files:
                self._files[path].url = url
                self._files[path].refused = False
        if len(details.log_urls) > MOST_FILES and not self._told_of_many:
            self._told_of_many = True
            self._untold.append(
                f"The job has {len(details.log_urls)} logs; {MOST_FILES} of them are shown. Studio has all of them."
            )
        self._files = {path: self._files[path] for path in sorted(self._files, key=order)}
        return details

    def _read(self, file: FollowedFile, most_bytes: int) -> int:
        """Read new bytes of a file; return their number."""
        part = self._part_of(file, most_bytes)
        if part is None:
            return 0
        if file.was_replaced(part):
            self._add(file, file.start_again())
            part = self._part_of(file, most_bytes)
            if part is None:
                return 0
        self._add(file, file.take(part))
        return len(part.data)

    def _part_of(self, file: FollowedFile, most_bytes: int) -> BlobPart | None:
        """Return the next part; None if the file was listed before it was written, or storage refuses it."""
        while not file.refused:
            try:
                part = self._connection.read_blob(file.url, file.offset, most_bytes)
            except ForeignHostError as error:
                self._refused(file, f"{error.message} Read the log in Azure ML Studio.")
            except HttpResponseError as error:
                if error.status_code != 403:
                    raise
                found = refusal_of(error)
                if self._urls_are_new:
                    advice = (
                        "allow this machine in the firewall of the workspace's storage account."
                        if found is None or found.refusal is NETWORK_RULES
                        else f"remove the reason: {found.refusal.what}. {found.advice(self._connection.address)}"
                    )
                    self._refused(
                        file,
                        f"{storage_error_message(error)} The job keeps running. Read its log in Azure ML Studio, or "
                        f"{one_line(advice)}",
                    )
                else:  # the URL has expired
                    self._list_files()
            else:
                self._urls_are_new = file.refusal_was_told = False
                return part
        return None

    def _refused(self, file: FollowedFile, why: str) -> None:
        file.refused = True
        if not file.refusal_was_told:
            file.refusal_was_told = True
            self._add(file, [safe_text(f"The log `{safe_name(file.path)}` cannot be read from here: {why}")])

    def _finish_lines(self) -> None:
        for file in self._files.values():
            self._add(file, file.lines.flush())

    def _add(self, file: FollowedFile, lines: list[str]) -> None:
        label = f"[{file.label}] " if len(self._files) > 1 else ""
        for written in lines:
            line, usage = without_report(written)
            file.tail.usage = usage or file.tail.usage
            if line is None:
                continue
            file.tail.add(line)
            self._untold.append(label + line)

    def _tell(self) -> list[str]:
        lines, self._untold = self._untold, []
        return lines
