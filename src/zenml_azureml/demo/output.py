"""The pipeline's output without the lines that tell a newcomer nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ANSI = re.compile(r"\x1b\[[0-9;]*m")

# How such lines begin. One that a new version words otherwise is shown, and does no harm.
_TELLS_NOTHING = re.compile(
    r"Registered new pipeline|Unable to find a build to reuse|  \* |Archiving pipeline code|Uploading code|"
    r"Code upload finished|Using a build|\s*Image\(s\)|Using user|You can visualize|Skipping visualization|"
    r"Class \w+: This is an experimental class|(\[\w+\] )?(Downloading code|Code download finished)"
)


# What OpenTelemetry, which ZenML logs through, says at the end of every program on Python 3.12 and later; no log line
# is lost by it. From the first line to the last.
_LAST_WORDS = (
    re.compile(r"(\[\w+\] )?Exception ignored in atexit callback: <function shutdown "),
    re.compile(r"(\[\w+\] )?RuntimeError: can't create new thread at interpreter shutdown"),
)


def worth_showing(lines: Iterable[str]) -> Iterator[str]:
    """The lines that are worth a newcomer's time.

    Args:
        lines: What ZenML and the steps print, with colours or without.

    Returns:
        Those of them that tell something, unchanged.
    """
    first, last = _LAST_WORDS
    in_last_words = False
    for line in lines:
        text = _ANSI.sub("", line)
        in_last_words = in_last_words or first.match(text) is not None
        if not in_last_words and not _TELLS_NOTHING.match(text):
            yield line
        in_last_words = in_last_words and not last.match(text)
