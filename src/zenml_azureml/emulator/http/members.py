"""Members of a request's objects that the service does not know: it refuses them, one detail each.

Recorded: job_put_unknown_member_400.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from zenml_azureml.emulator.http.responses import ServiceError

#: A place in a body, e.g. `("properties", "outputs", "model")`.
Place = tuple[str, ...]

_MESSAGE = "Request is invalid and/or missing fields."
_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class KnownMembers:
    """The members that an object may have.

    Attributes:
        type_name: The service's name of its type, e.g. `UriFolderJobOutput`.
        names: Names of the members.
    """

    type_name: str
    names: frozenset[str]


def refuse_unknown(text: str, known: Mapping[Place, KnownMembers]) -> None:
    """Refuse a body with members that the service does not know. It compares names without regard to case.

    Args:
        text: The body, which is valid JSON.
        known: The members of the objects that are checked, by their places.

    Raises:
        ServiceError: 400, with a detail for each such member.
    """
    details = []
    for place, position in _members(text, _after_blanks(text, 0), ()):
        members = known.get(place[:-1])
        if members is None or place[-1].lower() in {name.lower() for name in members.names}:
            continue
        line = text.count("\n", 0, position) + 1
        column = position - (text.rfind("\n", 0, position) + 1)
        details.append(
            {
                "code": "RequestInvalid",
                "message": f"Could not find member '{place[-1]}' on object of type '{members.type_name}'. "
                f"Path '{place[-1]}', line {line}, position {column}.",
                "details": [],
                "additionalInfo": [],
            }
        )
    if details:
        raise ServiceError(400, "UserError", _MESSAGE, inner=["RequestInvalid"], details=details, has_format=True)


def _members(text: str, at: int, place: Place) -> Iterator[tuple[Place, int]]:
    """Yield each member of the object at an index, and of those in it, with the index after its colon."""
    if text[at] != "{":
        return
    at = _after_blanks(text, at + 1)
    while text[at] != "}":
        name, at = scanstring(text, at + 1)
        at = _after_blanks(text, at) + 1
        inner = (*place, name)
        yield inner, at
        start = _after_blanks(text, at)
        yield from _members(text, start, inner)
        _, at = _DECODER.raw_decode(text, start)
        at = _after_blanks(text, at)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    while text[at] in _BLANKS:
        at += 1
    return at


def names_of(value: Any) -> dict[str, Any]:
    """Return an object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}
