"""The end of a job's logs, for the account of a failure: pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count

from zenml_azureml.workspace.log_lines import without_terminal_codes

#: Lines kept for the account of a failure.
TAIL_LINES = 20

#: A traceback that began at most so many lines before the end is taken for the cause of the end.
_NEAR_THE_END = 200

_TRACEBACK = "Traceback (most recent call last)"
_moments = count()


class LogTail:
    """The last lines of one log.

    Attributes:
        attempt: Which attempt at the job the log is of.
        lines: The lines, without terminal codes.
    """

    def __init__(self, attempt: str = "") -> None:
        self.attempt = attempt
        self.lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._traceback_at = 0
        self._lines_since = _NEAR_THE_END + 1

    def add(self, line: str) -> None:
        """Take in the next line."""
        plain = without_terminal_codes(line)
        self.lines.append(plain)
        self._lines_since += 1
        if _TRACEBACK in plain:
            self._traceback_at, self._lines_since = next(_moments), 0

    @property
    def traceback_at(self) -> int | None:
        """When its last traceback was seen, to compare with that of others; None if there is none near its end."""
        return self._traceback_at if self._lines_since <= _NEAR_THE_END else None


def explaining_tail(tails: Sequence[LogTail]) -> LogTail:
    """The tail that most likely says why the job has failed.

    Of the last attempt that has logged anything, it is that of the process whose traceback was seen first: where one
    process fails, the others fail for want of it. Without a traceback, it is that of the first process.

    Args:
        tails: Of all logs, in order.

    Returns:
        One of them, or an empty one.
    """
    written = [tail for tail in tails if tail.lines]
    if not written:
        return LogTail()
    last_attempt = [tail for tail in written if tail.attempt == written[-1].attempt]
    failed = [tail for tail in last_attempt if tail.traceback_at is not None]
    return min(failed, key=lambda tail: tail.traceback_at or 0, default=last_attempt[0])
