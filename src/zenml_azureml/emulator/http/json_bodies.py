"""JSON as the services accept it: stricter than Python's parser, and within bounds."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)

#: Nested objects and arrays. Guess: the limit of the JSON library that most of Azure's services are written with.
_MOST_LEVELS = 64
_INT64 = range(-(2**63), 2**63)


class BodyError(Exception):
    """A body that cannot be used; the message says why, as a part of a sentence."""


def parse_object(body: bytes, charset: str | None = None) -> dict[str, Any]:
    """Return the JSON object that a body holds.

    Args:
        body: The body.
        charset: Of its `Content-Type`; only UTF-8 and what is a part of it can be used.

    Raises:
        BodyError: If it is none, or has what no client means: a key twice, numbers beyond 64 bits, half a surrogate
            pair, more than 64 levels.
    """
    _check_charset(charset)
    try:
        text = body.decode("utf-8-sig")
        found = json.loads(
            text,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise BodyError("it is not UTF-8") from error
    except RecursionError as error:
        raise BodyError(f"it has more than {_MOST_LEVELS} levels") from error
    except ValueError as error:
        raise BodyError(f"it is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BodyError("it is not an object")
    _check_levels(found)
    if "\\u" in text:
        _check_surrogates(found)
    return found


def check(model: type[_Model], sent: object) -> _Model:
    """Return a part of a body as a model.

    Raises:
        BodyError: If it makes none; names each item that is wrong.
    """
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise BodyError(wrong_items(error)) from error


def with_texts(sent: Any, *members: str) -> Any:
    """Return an object in which numbers and booleans in some of its members are texts.

    Guess: the service takes them so, as the JSON library does whose messages it sends (Newtonsoft's). azure-ai-ml sends
    them as its user wrote them, e.g. `environment_variables={"EPOCHS": 5}`; up to 1.34 it made texts of them itself.

    Args:
        sent: The object; anything else is returned as it is.
        members: Those of its members that are objects with texts as values.
    """
    if not isinstance(sent, dict):
        return sent
    found = {name: sent[name] for name in members if isinstance(sent.get(name), dict)}
    return {**sent, **{name: {key: _text(value) for key, value in items.items()} for name, items in found.items()}}


def _text(value: object) -> object:
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def wrong_items(error: ValidationError) -> str:
    """Name each item that is wrong and say why, without what was sent, which may be secret."""
    items = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{_place(item['loc'])}: {item['msg']}" for item in items[:10]]
    return "; ".join(line.encode("utf-8", "replace").decode() for line in lines)


def _place(location: Sequence[int | str]) -> str:
    return ".".join(str(part)[:100] for part in location) or "body"


def _check_charset(charset: str | None) -> None:
    try:
        known = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        known = ""
    if known not in ("utf-8", "ascii"):
        raise BodyError("its charset is not UTF-8")


def _int(text: str) -> int:
    # Longer ones would only cost time.
    number = int(text) if len(text) < 21 else None
    if number is None or number not in _INT64:
        raise BodyError("a number has more than 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyError("a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise BodyError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Guess: a duplicate key is refused; the last one could win too.
        raise BodyError("an object has a key twice")
    return found


def _check_levels(body: object) -> None:
    level, here = 0, [body]
    while here:
        level += 1
        if level > _MOST_LEVELS:
            raise BodyError(f"it has more than {_MOST_LEVELS} levels")
        below: list[object] = []
        for one in here:
            below += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        here = [one for one in below if isinstance(one, dict | list)]


def _check_surrogates(body: object) -> None:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BodyError("a text has half of a surrogate pair") from error
