"""From the bytes of a log to the lines that are shown: pure but for the clock that is passed in."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator

from zenml_azureml.safe_text import safe_log_line, safe_text

#: Characters of a line beyond which it is cut: what never ends a line must not fill the memory.
LONGEST_LINE = 1024 * 1024

#: Seconds between two accounts of a progress bar that goes on.
BAR_INTERVAL_SECONDS = 60.0


def without_terminal_codes(text: str) -> str:
    """A text for where there is no terminal, such as an error that is stored and mailed."""
    return safe_text(text)


class LineReader:
    """Makes lines of bytes that arrive in pieces, cut anywhere.

    A progress bar, which begins its line again and again with a carriage return, is one line: its last state.
    While it goes on, its state is a line of its own now and then.

    Args:
        clock: Seconds since some fixed moment.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""
        self._bar_told_at: float | None = None

    def feed(self, data: bytes) -> list[str]:
        """Take in bytes that follow those before; returns the lines they complete."""
        *complete, partial = (self._partial + self._decoder.decode(data)).split("\n")
        lines = [_shown(part) for line in complete for part in _cut(_last_state(line))]
        if complete:
            self._bar_told_at = None
        # Of a bar, the state that is being written and the one before are enough.
        *parts, self._partial = _cut("\r".join(partial.split("\r")[-2:]))
        return lines + [_shown(part) for part in parts] + self._state_of_bar()

    def flush(self) -> list[str]:
        """The last line, if it never got its end."""
        rest, self._partial = self._partial + self._decoder.decode(b"", final=True), ""
        self._decoder.reset()
        return [_shown(part) for part in _cut(_last_state(rest))] if rest else []

    def _state_of_bar(self) -> list[str]:
        finished_state, is_bar, _ = self._partial.rpartition("\r")
        if not is_bar:
            return []
        now = self._clock()
        if self._bar_told_at is None:
            self._bar_told_at = now
        if now - self._bar_told_at < BAR_INTERVAL_SECONDS:
            return []
        self._bar_told_at = now
        return [_shown(finished_state)]


def _shown(line: str) -> str:
    """What a terminal would show of a line in the end, and nothing that would write over the reader's own."""
    return safe_log_line(line)


def _last_state(line: str) -> str:
    """A line without what is written over from its beginning."""
    return line.rstrip("\r").rpartition("\r")[2]


def _cut(line: str) -> Iterator[str]:
    """The parts of a line, each as long as a line may be but for the last; at least one, which may be empty."""
    while len(line) > LONGEST_LINE:
        yield line[:LONGEST_LINE]
        line = line[LONGEST_LINE:]
    yield line
