"""Tracebacks with the frames of the user's own code alone: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FRAME = re.compile(r'\s*File "(?P<path>[^"]*)", line \d+')

#: Code that the user has not written: installed packages, the standard library, what is frozen into the interpreter.
_FOREIGN = re.compile(r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib(?:64)?[\\/]python3\.\d+[\\/]|^<frozen ")


def with_users_frames(lines: Iterable[str]) -> list[str]:
    """Leave out the frames of tracebacks that are not the user's code.

    A traceback without any frame of the user's keeps all of them.

    Args:
        lines: Lines of a log, without terminal codes. The first ones may be the end of a traceback.
    """
    kept: list[str] = []
    frames: list[list[str]] = []
    for line in lines:
        if _FRAME.match(line):
            frames.append([line])
        elif frames and _is_indented(line):
            frames[-1].append(line)
        else:
            kept += _chosen(frames)
            frames = []
            kept.append(line)
    return kept + _chosen(frames)


def _is_indented(line: str) -> bool:
    return line.startswith("    ")


def _chosen(frames: list[list[str]]) -> list[str]:
    own = [frame for frame in frames if not _is_foreign(frame[0])]
    return [line for frame in own or frames for line in frame]


def is_foreign_file(path: str) -> bool:
    """True for the path of a file that the user has not written, as a frame names it."""
    return _FOREIGN.search(path) is not None


def _is_foreign(line: str) -> bool:
    found = _FRAME.match(line)
    return found is not None and is_foreign_file(found["path"])
