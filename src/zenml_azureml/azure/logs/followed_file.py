"""The progress of reading one log of a job."""

from __future__ import annotations

from collections.abc import Callable

from zenml_azureml.azure.logs.blob_reader import BlobPart
from zenml_azureml.azure.logs.files import attempt_of
from zenml_azureml.azure.logs.line_decoder import LineReader
from zenml_azureml.azure.logs.tail import LogTail


class FollowedFile:
    """The progress of reading one file.

    Args:
        path: Its path, e.g. `user_logs/std_log.txt`.
        label: Its label.
        clock: Seconds since some fixed moment.

    Attributes:
        url: SAS URL.
        offset: Bytes that have been read.
        has_more: True if the last read did not reach the end.
        refused: True if storage has refused a new URL.
        refusal_was_told: True if the refusal has been reported since the last successful read.
        lines: Splits its bytes into lines.
        tail: Its last lines.
    """

    def __init__(self, path: str, label: str, clock: Callable[[], float]) -> None:
        self.path = path
        self.label = label
        self.url = ""
        self.offset = 0
        self.has_more = False
        self.refused = False
        self.refusal_was_told = False
        self.lines = LineReader(clock)
        self.tail = LogTail(attempt_of(path))
        self._created = ""

    def was_replaced(self, part: BlobPart) -> bool:
        """Return True if this is a part of another file than before: a job that is restarted may write a new log."""
        return part.size < self.offset or ("" not in (part.created, self._created) and part.created != self._created)

    def start_again(self) -> list[str]:
        """Begin with the file that has replaced the one before; return the last line of the old one."""
        self.offset, self._created = 0, ""
        return self.lines.flush()

    def skip_to(self, offset: int) -> None:
        """Skip the bytes before an offset."""
        self.offset = offset

    def take(self, part: BlobPart) -> list[str]:
        """Process the next part; return the lines that it completes."""
        self.offset += len(part.data)
        self.has_more = self.offset < part.size
        self._created = part.created or self._created
        return self.lines.feed(part.data)
