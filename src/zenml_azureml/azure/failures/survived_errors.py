"""Recognises errors that Python prints although the process survives them: they are not the cause of its end. Pure.

Python prints a traceback where an exception has nowhere to go: in a finalizer, in a callback at exit, in a thread that
was started without `threading`, while it writes to a closed stream. `logging` and `asyncio` do the same for errors in
their own work. The process continues, or ends as it would have ended without that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum

TRACEBACK = "Traceback (most recent call last)"

#: The last line of a traceback.
EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:: .*)?$")

#: The first line of such an account. Captured from Python 3.10 to 3.13; `Error in atexit` is of Python 3.9 and before,
#: `Exception ignored while` of 3.14: read in its source (Python/errors.c).
_HEADING = re.compile(
    r"Exception ignored (?:in|on|while|when)\b|Error in atexit\._run_exitfuncs:|--- Logging error ---$|"
    r"(?:Task|Future) exception was never retrieved$"
)

#: The lines that follow the traceback of an error in `logging`, and the one that precedes that of asyncio.
_LOGGING_DETAILS = re.compile(r'Call stack:$|  File "|    |Message: |Arguments: ')
_ASYNCIO_DETAILS = re.compile(r"future: <")

#: The line that Python prints between the traceback of an error and that of the next one.
_CHAIN = re.compile(r"During handling of the above exception|The above exception was the direct cause")


class _Part(Enum):
    NOTHING = "outside of any account"
    HEADING = "after its first line"
    TRACEBACK = "inside a traceback"
    END = "after the error"


class SurvivedErrors:
    """Recognises the lines of such accounts in one log, line by line."""

    def __init__(self) -> None:
        self._part = _Part.NOTHING

    def includes(self, line: str) -> bool:
        """Process the next line.

        Args:
            line: The line, without terminal codes.

        Returns:
            True if it belongs to such an account.
        """
        if _HEADING.match(line):
            self._part = _Part.HEADING
        elif self._part is not _Part.NOTHING:
            self._part = self._after(line.rstrip())
        return self._part is not _Part.NOTHING

    def _after(self, line: str) -> _Part:
        """Return the part to which a line of an account, or the first line after it, belongs."""
        indented = line.startswith(" ")
        begins, ends = TRACEBACK in line, not indented and EXCEPTION.match(line) is not None
        if self._part is _Part.HEADING:
            if begins:
                return _Part.TRACEBACK
            between = indented or not line or _ASYNCIO_DETAILS.match(line)
            # An error may have no traceback.
            return _Part.HEADING if between else _Part.END if ends else _Part.NOTHING
        if self._part is _Part.TRACEBACK:
            incomplete = begins and not indented  # another traceback, and this one's end is missing
            return _Part.NOTHING if incomplete else _Part.END if ends else _Part.TRACEBACK
        if _CHAIN.match(line):
            return _Part.HEADING
        return _Part.END if not line or _LOGGING_DETAILS.match(line) else _Part.NOTHING


def without_survived_errors(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a log that belong to no such account.

    Args:
        lines: The log, without terminal codes.
    """
    survived = SurvivedErrors()
    return (line for line in lines if not survived.includes(line))
