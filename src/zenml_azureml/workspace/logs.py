"""A job's log: followed by ranged reads, each line once."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from zenml_azureml.workspace.connection import WorkspaceConnection

#: The logs of the user's own processes, one per node and process.
#: Source: Azure ML names them `user_logs/std_log.txt`, `user_logs/std_log_process_0.txt`, ...
_USER_LOG = re.compile(r"^user_logs/std_log.*\.txt$")

#: What programs write to colour a terminal; not for an error message that is stored and mailed.
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

#: Lines kept for the account of a failure.
TAIL_LINES = 20


@dataclass(frozen=True)
class RunDetails:
    """What run history tells of a job.

    Attributes:
        status: Its status there.
        log_urls: SAS URL by path, of the logs of the user's processes, in the order of their names.
        error: Azure's account of a failure; empty where there is none.
        error_code: Code of the failure, e.g. `UserError`; empty where there is none.
    """

    status: str
    log_urls: Mapping[str, str] = field(repr=False)
    error: str = ""
    error_code: str = ""


def fetch_run_details(connection: WorkspaceConnection, job_name: str) -> RunDetails:
    """Ask run history about a job.

    Args:
        connection: The workspace.
        job_name: The job.

    Returns:
        Status, logs and the error, which Resource Manager does not tell (recorded: job_get_failed.json).

    Raises:
        azure.core.exceptions.AzureError: If run history cannot be reached or does not know the job.
    """
    body = connection.get_json(f"{connection.run_history_url}/runs/{job_name}/details")
    logs: dict[str, str] = body.get("logFiles") or {}
    code, message = _failure(body.get("error"))
    return RunDetails(
        status=str(body.get("status") or ""),
        log_urls={path: logs[path] for path in sorted(logs) if _USER_LOG.match(path)},
        error=message,
        error_code=code,
    )


def _failure(error: Any) -> tuple[str, str]:
    """Code and message of an error, which may stand in another (recorded: error.error)."""
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if not isinstance(error, dict):
        return "", ""
    # Azure puts the end of the log into the message, colours and all.
    message = _TERMINAL_CODES.sub("", str(error.get("message") or ""))
    return str(error.get("code") or ""), message.strip()


class LogFollower:
    """Reads what is new in a job's logs. Not thread-safe: one thread at a time may read.

    Args:
        connection: The workspace.
        job_name: The job.

    Attributes:
        tail: The last lines read, without terminal codes.
    """

    def __init__(self, connection: WorkspaceConnection, job_name: str) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._connection = connection
        self._job_name = job_name
        self._urls: Mapping[str, str] = {}
        self._files: dict[str, _FollowedFile] = {}

    def read_new(self) -> list[str]:
        """The lines that have been completed since the last call.

        Raises:
            azure.core.exceptions.AzureError: If run history or the storage cannot be read; nothing is lost,
                the next call goes on where this one began.
        """
        if not self._urls:
            self._urls = fetch_run_details(self._connection, self._job_name).log_urls
        return self._read(self._urls)

    def read_rest(self) -> tuple[list[str], RunDetails]:
        """What is left when the job has ended, an unfinished last line too, and its final details.

        Raises:
            azure.core.exceptions.AzureError: As `read_new`.
        """
        details = fetch_run_details(self._connection, self._job_name)
        lines = self._read(details.log_urls)
        unfinished = [line for file in self._files.values() for line in file.flush()]
        self._remember(unfinished)
        return lines + unfinished, details

    def _read(self, urls: Mapping[str, str]) -> list[str]:
        lines: list[str] = []
        for path, url in urls.items():
            file = self._files.setdefault(path, _FollowedFile())
            try:
                lines += file.feed(self._connection.read_blob(url, file.offset))
            except ResourceNotFoundError:
                continue  # named before it was written
            except HttpResponseError as error:
                if error.status_code == 403:  # the SAS URL has expired: a new one next time
                    self._urls = {}
                    break
                raise
        self._remember(lines)
        return lines

    def _remember(self, lines: list[str]) -> None:
        self.tail.extend(_TERMINAL_CODES.sub("", line) for line in lines[-TAIL_LINES:])


class _FollowedFile:
    """How far a file has been read, and the line that is not complete yet."""

    def __init__(self) -> None:
        self.offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""

    def feed(self, data: bytes) -> list[str]:
        """Take in bytes that follow those before; returns the lines they complete."""
        self.offset += len(data)
        *complete, self._partial = (self._partial + self._decoder.decode(data)).split("\n")
        return [line.rstrip("\r") for line in complete]

    def flush(self) -> list[str]:
        """The last line, if it never got its end."""
        rest, self._partial = self._partial + self._decoder.decode(b"", final=True), ""
        return [rest.rstrip("\r")] if rest else []
