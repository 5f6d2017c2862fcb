"""Filters and pages of MLflow's searches for models. Pure.

Source: MLflow, "Search MLflow models" (`name = 'x'`, `name LIKE '%x%'`, `run_id = 'x'`, `tags.key = 'x'`, with AND).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from zenml_azureml.emulator.types import Json

_CONDITION = re.compile(
    r"\s*(?P<key>name|run_id|version_number|source_path|tags?\.(?:`[^`]+`|\"[^\"]+\"|[\w.\-]+))"
    r"\s*(?P<how>=|!=|(?:I?LIKE)\b)\s*(?:'(?P<one>[^']*)'|\"(?P<other>[^\"]*)\"|(?P<number>\d+))\s*",
    re.IGNORECASE,
)
_AND = re.compile(r"AND\b", re.IGNORECASE)
_KEYS = {"version_number": "version", "source_path": "source"}


class FilterError(Exception):
    """A filter, an order or a token of a page that is not understood; the message names it."""


def matches(found: Mapping[str, Any], text: str) -> bool:
    """True if a model, or a version of one, fulfils all conditions of a filter.

    Args:
        found: As MLflow's API shows it.
        text: The filter; empty for none.

    Raises:
        FilterError: If the filter is not understood.
    """
    place = 0
    result = True
    while place < len(text):
        condition = _CONDITION.match(text, place)
        if condition is None:
            raise FilterError(f"Invalid filter string: {text}")
        result = _fulfils(found, condition) and result
        place = condition.end()
        if place < len(text):
            word = _AND.match(text, place)
            if word is None:
                raise FilterError(f"Invalid filter string: {text}")
            place = word.end()
            if place == len(text):
                raise FilterError(f"Invalid filter string: {text}")
    return result


def page(key: str, found: Sequence[Json], sent: Mapping[str, Any]) -> Json:
    """Return a page of what a search has found, in the order that the request names.

    Args:
        key: Name of the list in the answer.
        found: All of it.
        sent: Values of the query.

    Raises:
        FilterError: If the order or the token is not understood.
    """
    ordered = list(found)
    by = sent.get("order_by") or []
    for one in reversed([by] if isinstance(by, str) else by):
        name, _, direction = str(one).strip().partition(" ")
        field = _KEYS.get(name, {"timestamp": "last_updated_timestamp"}.get(name, name))
        if ordered and field not in ordered[0]:
            raise FilterError(f"Invalid order_by clause: {one}")
        ordered.sort(key=lambda item: _sortable(item[field]), reverse=direction.strip().upper() == "DESC")
    try:
        start, most = int(sent.get("page_token") or 0), int(sent.get("max_results") or 100)
    except ValueError as error:
        raise FilterError(f"Invalid page: {error}") from error
    shown = ordered[start : start + most]
    rest = {"next_page_token": str(start + most)} if start + most < len(ordered) else {}
    return {key: shown, **rest}


def _fulfils(found: Mapping[str, Any], condition: re.Match[str]) -> bool:
    key = condition["key"]
    wanted = next(one for one in (condition["one"], condition["other"], condition["number"]) if one is not None)
    if key.lower().startswith("tag"):
        tags = {one["key"]: one["value"] for one in found["tags"]}
        has = tags.get(key.partition(".")[2].strip('`"'))
    else:
        has = found.get(_KEYS.get(key.lower(), key.lower()))
    how = condition["how"].upper()
    if has is None:
        return how == "!="  # MLflow's clients exclude prompts so, which are models with a tag
    if how in ("=", "!="):
        return (str(has) == wanted) == (how == "=")
    pattern = "".join(".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in wanted)
    return bool(re.fullmatch(pattern, str(has), re.DOTALL | (re.IGNORECASE if how == "ILIKE" else 0)))


def _sortable(value: Any) -> tuple[int, int, str]:
    text = str(value)
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)
