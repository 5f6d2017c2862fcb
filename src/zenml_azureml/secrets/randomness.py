"""Text that a program has made up, judged by its look. Pure."""

from __future__ import annotations

import re
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PARTS: Final = re.compile(r"[A-Za-z0-9+=]+")
#: Where small letters, capitals and digits meet.
_SWITCHES: Final = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")
_DIGITS_MEET_LETTERS: Final = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_CONSONANTS: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{6,}", re.IGNORECASE)

#: Shortest text that can be called random, and the one from which on the rate of its switches counts.
_SHORTEST: Final = 10
_LONG: Final = 16
#: Switches per character: names in camel case have about 0.25 of them, random letters and digits 0.6, hex 0.47.
_RATE: Final = 0.33
_RATE_OF_TOKENS: Final = 0.42


def is_uuid(text: str) -> bool:
    """Return whether a text is a UUID: made up, and more often an id than a secret."""
    return _UUID.fullmatch(text) is not None


def has_random_part(text: str) -> bool:
    """Return whether a text has a part that looks made up; UUIDs in it do not count.

    The measure is how often small letters, capitals and digits take turns: for short texts it says more than the
    entropy of their characters, which is as high for words.

    Args:
        text: E.g. a segment of a path.
    """
    parts = _PARTS.findall(_UUID.sub(" ", text))
    together = "".join(parts)  # tokens for addresses have hyphens and underscores too
    return any(_is_random(part) for part in parts) or (len(together) >= 24 and _rate(together) >= _RATE_OF_TOKENS)


def _is_random(part: str) -> bool:
    length = len(part)
    if length < _SHORTEST:
        return False
    if part.isdigit():
        return length > 20
    # Names end in a number, or begin with one; only programs mix both.
    if len(_DIGITS_MEET_LETTERS.findall(part)) >= 3:
        return True
    if length < _LONG:
        return False
    return _rate(part) >= _RATE or bool(_CONSONANTS.search(part))


def _rate(text: str) -> float:
    return len(_SWITCHES.findall(text)) / len(text)
