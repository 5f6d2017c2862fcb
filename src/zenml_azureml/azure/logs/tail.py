"""The end of a job's logs, for the account of a failure: pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from zenml_azureml.azure.failures.survived_errors import EXCEPTION, TRACEBACK, SurvivedErrors
from zenml_azureml.azure.logs.frames import with_users_frames
from zenml_azureml.azure.logs.line_decoder import without_terminal_codes
from zenml_azureml.contract.own_end import reason_in

#: Lines in the report of a failure.
TAIL_LINES = 20

#: Lines kept for them: frames of tracebacks that are not of the user's code are left out.
_KEPT_LINES = 200

#: Characters of such a line that are kept: it goes into an error, and to ZenML's server.
LONGEST_TAIL_LINE = 4_000

#: A traceback that began at most so many lines before the end is taken for the cause of the end.
_NEAR_THE_END = 200

#: What Python prints before the traceback of an error that ends a thread, and not the process.
_THREAD = re.compile(r"Exception in thread ")

_moments = count()

#: What a rank of a step prints when it fails (`in_job/rank.py`); times of one zone, so their texts are in their order.
_RANK_FAILED = re.compile(r"^zenml-azureml: rank \d+ of \d+, on node \d+, failed at (\S+)$")


@dataclass(frozen=True)
class LogEnd:
    """The end of the log that explains a failure best.

    Attributes:
        lines: Its last lines, without terminal codes.
        label: Whose log it is, e.g. `node 1 rank 3`; empty where there is only one.
        is_first: Whether it is the log of the first process, which is the one that reports to ZenML.
        is_named: Whether what Azure says of the failure, if it names a log, is of this one's process.
        is_blamed: Whether its process is known to be the one that failed: by Azure, by its own words or a traceback.
        exception: What the last traceback near its end ends with, e.g. `ValueError: no such thing`; empty for none.
        ended_itself: Why the job has ended itself, by the words of any of its processes; empty if it has not.
    """

    lines: tuple[str, ...] = ()
    label: str = ""
    is_first: bool = True
    is_named: bool = True
    is_blamed: bool = False
    exception: str = ""
    ended_itself: str = ""


class LogTail:
    """The last lines of one log, without errors that its process has survived.

    Attributes:
        attempt: Which attempt at the job the log is of.
        failed_at: When the step failed in that process, as it has told itself; empty if it has not.
        ended_itself: Why the job has ended itself, as its watcher has written; empty if it has not.
    """

    def __init__(self, attempt: str = "") -> None:
        self.attempt = attempt
        self._kept: deque[str] = deque(maxlen=_KEPT_LINES)
        self.failed_at = ""
        self.ended_itself = ""
        self._traceback_at = 0
        self._lines_since = _NEAR_THE_END + 1
        self._exception = ""
        self._survived = SurvivedErrors()
        self._in_thread = False
        self._of_main_thread = False

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without terminal codes; of tracebacks, the frames of the user's code alone."""
        return tuple(with_users_frames(self._kept)[-TAIL_LINES:])

    def add(self, line: str) -> None:
        """Take in the next line."""
        plain = without_terminal_codes(line)
        if reason := reason_in(plain):
            self.ended_itself = reason
        if self._survived.includes(plain):
            return
        if len(plain) > LONGEST_TAIL_LINE:
            plain = f"{plain[:LONGEST_TAIL_LINE]} ... ({len(plain)} characters)"
        self._kept.append(plain)
        self._lines_since += 1
        if TRACEBACK in plain:
            self._begin_traceback()
        elif not self._exception and EXCEPTION.match(plain):
            self._exception = plain
        self._in_thread = _THREAD.match(plain) is not None
        if failed := _RANK_FAILED.match(plain):
            self.failed_at = failed[1]

    def _begin_traceback(self) -> None:
        # A thread that fails does not end the process: it explains the end if nothing else does.
        if self._in_thread and self._of_main_thread and self.exception:
            return
        self._of_main_thread = not self._in_thread
        self._traceback_at, self._lines_since, self._exception = next(_moments), 0, ""

    @property
    def traceback_at(self) -> int | None:
        """When its last traceback was seen, to compare with that of others; None if there is none near its end."""
        return self._traceback_at if self._lines_since <= _NEAR_THE_END else None

    @property
    def exception(self) -> str:
        """What that traceback ends with; empty if there is none."""
        return self._exception if self.traceback_at is not None else ""


def explaining_tail(
    tails: Sequence[LogTail], named: LogTail | None = None, *, named_was_killed: bool = False
) -> LogTail:
    """The tail that most likely says why the job has failed.

    Where one process fails, the others fail for want of it. So of the last attempt that has logged anything, it is that
    of the process which Azure names, if it was killed before it could tell anything; otherwise of that which was the
    first to tell that it failed; otherwise that which Azure names; otherwise that of which a traceback was seen first;
    without a traceback, that of the first process.

    Args:
        tails: Of all logs, in order.
        named: That of the log which Azure names in its words on the failure; None if it names none.
        named_was_killed: Whether it says that a signal has killed that one's process.

    Returns:
        One of them, or an empty one.
    """
    written = [tail for tail in tails if tail.lines]
    if not written:
        return named or LogTail()
    last_attempt = [tail for tail in written if tail.attempt == written[-1].attempt]
    told = [tail for tail in last_attempt if tail.failed_at]
    if named is not None and named_was_killed and not named.failed_at:
        return named
    if told:
        return min(told, key=lambda tail: tail.failed_at)
    if named is not None:
        return named
    failed = [tail for tail in last_attempt if tail.traceback_at is not None]
    return min(failed, key=lambda tail: tail.traceback_at or 0, default=last_attempt[0])
