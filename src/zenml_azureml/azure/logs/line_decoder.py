"""Decodes the bytes of a log to lines. Pure, except for the clock that is passed in."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator

from zenml_azureml.safe_text import safe_log_line, safe_text

#: Length at which a line is cut, so that output without line ends does not fill the memory.
LONGEST_LINE = 1024 * 1024

#: Seconds between two lines about a progress bar that continues.
BAR_INTERVAL_SECONDS = 60.0


def without_terminal_codes(text: str) -> str:
    """Return a text for output without a terminal, such as an error that is stored and mailed."""
    return safe_text(text)


class LineReader:
    """Splits bytes that arrive in arbitrary pieces into lines.

    A progress bar, which restarts its line with a carriage return, becomes one line: its last state. While it
    continues, its state becomes a line from time to time.

    Args:
        clock: Seconds since some fixed moment.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""
        self._bar_told_at: float | None = None

    def feed(self, data: bytes) -> list[str]:
        """Process the next bytes; return the lines that they complete."""
        *complete, partial = (self._partial + self._decoder.decode(data)).split("\n")
        lines = [_shown(part) for line in complete for part in _cut(_last_state(line))]
        if complete:
            self._bar_told_at = None
        # Only the last two states of a bar are needed: the one that is being written, and the one before.
        *parts, self._partial = _cut("\r".join(partial.split("\r")[-2:]))
        return lines + [_shown(part) for part in parts] + self._state_of_bar()

    def flush(self) -> list[str]:
        """Return the last line, if it has no line end."""
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
    """Return a line as a terminal would finally show it, without codes that overwrite other output."""
    return safe_log_line(line)


def _last_state(line: str) -> str:
    """Return a line without its overwritten states."""
    return line.rstrip("\r").rpartition("\r")[2]


def _cut(line: str) -> Iterator[str]:
    """Yield the parts of a line, each of full length except for the last; at least one, which may be empty."""
    while len(line) > LONGEST_LINE:
        yield line[:LONGEST_LINE]
        line = line[LONGEST_LINE:]
    yield line
