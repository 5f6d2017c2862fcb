"""Detection of random text by the kinds of its characters. Pure."""

from __future__ import annotations

import re
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PARTS: Final = re.compile(r"[A-Za-z0-9+=]+")
#: Switches between small letters, capitals and digits.
_SWITCHES: Final = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")
_DIGITS_MEET_LETTERS: Final = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_CONSONANTS: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{6,}", re.IGNORECASE)

#: Shortest text that can count as random, and shortest text for which the rate of switches counts.
_SHORTEST: Final = 10
_LONG: Final = 16
#: Switches per character: names in camel case have about 0.25 of them, random letters and digits 0.6, hex 0.47.
_RATE: Final = 0.33
_RATE_OF_TOKENS: Final = 0.42


def is_uuid(text: str) -> bool:
    """True if a text is a UUID, which is random, but more often an id than a secret."""
    return _UUID.fullmatch(text) is not None


def has_random_part(text: str) -> bool:
    """True if a text has a part that looks random; UUIDs in it do not count.

    The measure is the rate of switches between small letters, capitals and digits. For short texts that is a better
    measure than the entropy of their characters, which is as high for words.

    Args:
        text: The text, e.g. a segment of a path.
    """
    parts = _PARTS.findall(_UUID.sub(" ", text))
    together = "".join(parts)  # URL-safe tokens have hyphens and underscores too
    return any(_is_random(part) for part in parts) or (len(together) >= 24 and _rate(together) >= _RATE_OF_TOKENS)


def _is_random(part: str) -> bool:
    length = len(part)
    if length < _SHORTEST:
        return False
    if part.isdigit():
        return length > 20
    # Names end or begin with a number; only random text mixes letters and digits.
    if len(_DIGITS_MEET_LETTERS.findall(part)) >= 3:
        return True
    if length < _LONG:
        return False
    return _rate(part) >= _RATE or bool(_CONSONANTS.search(part))


def _rate(text: str) -> float:
    return len(_SWITCHES.findall(text)) / len(text)
