"""Values that this process knows to be secrets, which are masked in all messages.

Thread-safe: values are only added, and the tuple is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zenml_azureml.fork_lock import ForkLock
from zenml_azureml.secrets.redaction import REDACTED, SHORTEST, map_texts
from zenml_azureml.secrets.rule import looks_harmless

#: Shortest plain word that is masked; shorter words occur in many sentences with another meaning.
_SHORTEST_WORD = 8

_lock = ForkLock()
_values: tuple[str, ...] = ()


def remember(values: Iterable[str]) -> None:
    """Mask these values from now on.

    Args:
        values: The secrets.
    """
    global _values  # noqa: PLW0603 - messages of the whole process are masked
    with _lock:
        known = {*_values, *(value for value in values if is_telling(value))}
        _values = tuple(sorted(known, key=len, reverse=True))


def is_telling(value: str) -> bool:
    """True if a value is long enough to be searched for in other texts."""
    return len(value) >= (_SHORTEST_WORD if looks_harmless(value) else SHORTEST)


def masked(text: str) -> str:
    """Return a text without any of these values."""
    for value in _values:
        if value in text:
            text = text.replace(value, REDACTED)
    return text


def masked_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata without any of these values, at any depth."""
    return map_texts(metadata, lambda _, text: masked(text))
