"""The check before a recording is written: no pattern of a secret, no claim of the credential. Pure.

It shares no pattern with what replaces them, so that one mistake does not suffice.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from tests.live.known import Known
from tests.live.patterns import REFERENCE
from tests.live.sanitiser import published
from zenml_azureml.secrets.shapes import secrets_in


class LeakError(Exception):
    """A recording still has something that must not be written; the message has places and kinds, no values."""


_SHAPES: Final = {
    "JSON web token": re.compile(r"eyJ[\w-]{6,}"),
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "SAS signature": re.compile(r"\bsig(?:=|%3D)(?!<)[^&\s\"']{8,}", re.IGNORECASE),
    "bearer token": re.compile(r"\bBearer\s+(?!<)[\w.~+/=-]{12,}", re.IGNORECASE),
    "account key": re.compile(r"(?<![\w+/-])[A-Za-z0-9+/]{86}=="),
    "person": re.compile(r"[\w.+'-]+(?:@|%40)[\w-]+\.[\w.-]{2,}"),
}

#: The shortest text that is looked for in base64, where it has no borders.
_IN_BASE64: Final = 6


def check(exchange: Mapping[str, Any], known: Known) -> None:
    """Refuse an exchange that has something left that must not be written.

    Raises:
        LeakError: If it has.
    """
    found = sorted(set(leaks(exchange, known)))
    if found:
        raise LeakError(f"not written, because this is left in it: {'; '.join(found)}")


def leaks(value: Any, known: Known, place: str = "") -> Iterator[str]:
    """Yield kind and place of everything that is left."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            # The name of a key can be such a value itself.
            shown = key if re.fullmatch(r"[A-Za-z$][\w.-]{0,40}", str(key)) and not list(_in(str(key), known)) else "?"
            yield from (f"{kind} in a key of {place or 'it'}" for kind in _in(str(key), known))
            yield from leaks(item, known, f"{place}.{shown}")
    elif isinstance(value, list):
        for item in value:
            yield from leaks(item, known, f"{place}[]")
    elif isinstance(value, str):
        yield from (f"{kind} in {place}" for kind in _in(value, known))


def _in(text: str, known: Known) -> Iterator[str]:
    plain = unquote(text)
    for candidate in {text, plain}:
        for kind, pattern in _SHAPES.items():
            if any(_counts(match[0]) for match in pattern.finditer(candidate)):
                yield kind
        if any(_counts(candidate[begin:end]) for begin, end in secrets_in(candidate)):
            yield "secret"
        for pattern, instead in known.patterns():
            # `run` and the public address are no references, and may occur.
            if instead.startswith("<") and pattern.search(REFERENCE.sub("", candidate)):
                yield f"a value of the credential or the workspace ({instead.strip('<>')})"
    compact = re.sub(r"\s", "", text)
    for value in [*known.texts, *known.secrets]:
        if len(value) >= _IN_BASE64 and any(core in compact for core in _base64_cores(value)):
            yield "a value of the credential or the workspace, in base64"


def _counts(value: str) -> bool:
    return not REFERENCE.search(value) and value.lower() not in published()


def _base64_cores(value: str) -> Iterator[str]:
    """Yield what base64 makes of a text, at each of the three offsets, without what depends on its neighbours."""
    raw = value.encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        begin = (0, 2, 3)[offset]
        core = encoded[begin : (len(raw) + offset) // 3 * 4]
        if len(core) >= _IN_BASE64:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def as_text(exchange: Mapping[str, Any]) -> str:
    """Return an exchange as the text of its file."""
    return json.dumps(exchange, indent=2, ensure_ascii=False) + "\n"
