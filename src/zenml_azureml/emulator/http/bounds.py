"""Bounds on requests to the emulator: Azure's if known, else those of a machine."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

#: Bytes of a request's body. Guess: Resource Manager's documented limit for templates and resources.
MOST_BODY_BYTES = 4 * 1024**2

#: Nodes of a cluster. Source: Microsoft, "Manage and increase quotas": 100, and up to 65,000 on request.
MOST_NODES = 65_000

#: Processes of a job on this machine. Azure has no such limit but its quota.
MOST_PROCESSES = 1_024

#: Seconds that a job lives. Source: Microsoft, "Manage and increase quotas": 21 days.
LONGEST_JOB_SECONDS = 21 * 86_400

#: The longest that anything which is set in seconds may take: no timer overflows, and no emulator lives longer.
LONGEST_SECONDS = 365 * 86_400

#: Lines in the log of a simulated process, and restarts of a simulated job.
MOST_LINES, MOST_RETRIES = 1_000_000, 1_000

#: Characters of a regular expression.
_LONGEST_PATTERN = 1_000

#: A number of seconds in a setting.
Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False, strict=True)]
PositiveSeconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False, strict=True)]
#: Number of times that something happens.
Times = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]


def number_between(text: object, least: float, most: float, name: str) -> float:
    """Return the number that a text is.

    Args:
        text: The text.
        least: The smallest that is allowed.
        most: The largest.
        name: Of the variable that has it.

    Raises:
        ValueError: If it is none, or out of bounds; names the variable.
    """
    try:
        number = float(str(text))
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}.")
    return number


def _pattern(text: str) -> str:
    if len(text) > _LONGEST_PATTERN:
        raise ValueError(f"longer than {_LONGEST_PATTERN} characters")
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if _repeats_a_repetition(text):
        raise ValueError("a repetition of a group that repeats something itself can take too long to match")
    return text


#: A regular expression, of a kind that cannot take exponential time.
Pattern = Annotated[str, AfterValidator(_pattern), Field(strict=True)]

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P?[<:=!>]*|[()*+]|\?|\{\d*,?\d*\}|.", re.DOTALL)


def _repeats_a_repetition(text: str) -> bool:
    """True if a group that repeats something, or has alternatives, is repeated itself."""
    open_groups, closed, was_group = [False], False, False
    for found in _TOKEN.finditer(text):
        part = found[0]
        repeats = part in ("*", "+") or (part[0] == "{" and len(part) > 1)
        if repeats and was_group and closed:
            return True
        was_group = False
        if part[0] == "(":
            open_groups.append(False)
        elif part == ")" and len(open_groups) > 1:
            closed, was_group = open_groups.pop(), True
            open_groups[-1] |= closed
        elif repeats or part == "|":
            open_groups[-1] = True
    return False


def without_control_characters(text: str) -> str:
    """Return a text; a validator that refuses NUL and other control characters.

    Raises:
        ValueError: If it has any.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("has control characters")
    return text


def without_nul(value: Any) -> Any:
    """Return a value; a validator that refuses texts with NUL, which no program can be given.

    Raises:
        ValueError: If it has one.
    """
    if isinstance(value, str) and "\0" in value:
        raise ValueError("has a NUL character")
    return value
