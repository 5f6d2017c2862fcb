"""The tail of a job's logs, for the error about a failure: pure."""

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
from zenml_azureml.contract.usage import Usage

#: Number of lines that are kept for the error.
TAIL_LINES = 20

#: Lines kept for them: frames of tracebacks that are not of the user's code are left out.
_KEPT_LINES = 200

#: Characters of such a line that are kept: it goes into an error, and to ZenML's server.
LONGEST_TAIL_LINE = 4_000

#: Largest distance of a traceback from the end, in lines, at which it counts as the cause of the end.
_NEAR_THE_END = 200

#: The line that Python prints before the traceback of an error that ends a thread, but not the process.
_THREAD = re.compile(r"Exception in thread ")

_moments = count()

#: The line that a rank of a step prints when it fails (`in_job/rank.py`). All times are of one zone, so that their
#: texts sort by time.
_RANK_FAILED = re.compile(r"^zenml-azureml: rank \d+ of \d+, on node \d+, failed at (\S+)$")


@dataclass(frozen=True)
class LogEnd:
    """The end of the log that explains a failure best.

    Attributes:
        lines: Its last lines, without terminal codes.
        label: Label of the log, e.g. `node 1 rank 3`; empty if there is only one.
        is_first: True for the log of the first process, which is the one that reports to ZenML.
        is_named: True unless Azure's message about the failure names the log of another process.
        is_blamed: True if its process is known to have failed: from Azure's message, its own log or a traceback.
        exception: Last line of the last traceback near its end, e.g. `ValueError: no such thing`; empty for none.
        ended_itself: The reason why the job ended itself, from the log of any process; empty if it did not.
        usages: The last report of each process that sampled its node, of the last attempt.
    """

    lines: tuple[str, ...] = ()
    label: str = ""
    is_first: bool = True
    is_named: bool = True
    is_blamed: bool = False
    exception: str = ""
    ended_itself: str = ""
    usages: tuple[Usage, ...] = ()


class LogTail:
    """The last lines of one log, without errors that its process has survived.

    Attributes:
        attempt: The attempt of the job that the log belongs to.
        failed_at: Time at which the step failed in that process, from its own line; empty if it has none.
        ended_itself: The reason why the job ended itself, from its watcher's line; empty if it did not.
        usage: The last report of its sampler; None if it has none.
    """

    def __init__(self, attempt: str = "") -> None:
        self.attempt = attempt
        self._kept: deque[str] = deque(maxlen=_KEPT_LINES)
        self.failed_at = ""
        self.ended_itself = ""
        self.usage: Usage | None = None
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
        """Process the next line."""
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
        # A thread that fails does not end the process: it only explains the end if nothing else does.
        if self._in_thread and self._of_main_thread and self.exception:
            return
        self._of_main_thread = not self._in_thread
        self._traceback_at, self._lines_since, self._exception = next(_moments), 0, ""

    @property
    def traceback_at(self) -> int | None:
        """Order in which its last traceback was seen, to compare with others; None if there is none near its end."""
        return self._traceback_at if self._lines_since <= _NEAR_THE_END else None

    @property
    def exception(self) -> str:
        """Last line of that traceback; empty if there is none."""
        return self._exception if self.traceback_at is not None else ""


def explaining_tail(
    tails: Sequence[LogTail], named: LogTail | None = None, *, named_was_killed: bool = False
) -> LogTail:
    """Return the tail that most likely explains why the job failed.

    If one process fails, the others fail because they depend on it. So this chooses among the processes of the last
    attempt that has logged anything, in this order:

    1. the process that Azure names, if it was killed before it could report an error;
    2. the process that was the first to report that it failed;
    3. the process that Azure names;
    4. the process whose traceback was seen first;
    5. the first process.

    Args:
        tails: The tails of all logs, in order.
        named: The tail of the log that Azure's message names; None if it names none.
        named_was_killed: True if Azure's message says that a signal has killed the process of that log.

    Returns:
        One of them, or an empty one.
    """
    written = [tail for tail in tails if tail.lines]
    if not written:
        return named or LogTail()
    last_attempt = [tail for tail in written if tail.attempt == written[-1].attempt]
    reported = [tail for tail in last_attempt if tail.failed_at]
    if named is not None and named_was_killed and not named.failed_at:
        return named
    if reported:
        return min(reported, key=lambda tail: tail.failed_at)
    if named is not None:
        return named
    failed = [tail for tail in last_attempt if tail.traceback_at is not None]
    return min(failed, key=lambda tail: tail.traceback_at or 0, default=last_attempt[0])
