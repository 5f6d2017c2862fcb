"""Differences between a recorded answer of Azure ML and the emulator's: pure.

Status, keys, null against absent, types, the order of keys and the headers count, as a whole. Values are compared too,
and reported, but do not count: ids, times and versions of the service differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.parity.exchange import Asked, Exchange

_ARM = "https://management.azure.com"
_RATE = "x-ms-ratelimit-remaining-subscription"

#: Headers with addresses, headers with values that are the same in each answer, and headers that are only present.
_ADDRESSES = ("Location", "Azure-AsyncOperation")
_EQUAL = ("Content-Type", "x-ms-response-type", "x-ms-async-operation-timeout", "Retry-After", "x-ms-failure-cause")
_PRESENT = (
    "azureml-served-by-cluster",
    *(f"{_RATE}{scope}-{kind}" for scope in ("", "-global") for kind in ("reads", "writes", "deletes")),
)
#: A header of answers before 2025, which have other headers beside it.
_OLD = "x-aml-cluster"

_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d{1,7})?(\+00:00|Z|)")

#: What stands in a recording for something that was replaced: `<uuid>`.
_REPLACED = re.compile(r"<[^<>]{1,60}>")

#: Users submitted the recorded requests, an application submits those to the emulator.
_WHO = frozenset({"createdByType", "lastModifiedByType", "createdBy", "lastModifiedBy"})


@dataclass
class Comparison:
    """The result of a comparison.

    Attributes:
        status: The two HTTP statuses if they differ; empty otherwise.
        structure: Differences of the body's structure.
        headers: Differences of headers.
        values: Differences of values, which do not count.
        is_emulated: False if the emulator answers that it does not emulate the operation.
    """

    status: str = ""
    structure: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    is_emulated: bool = True

    @property
    def is_same(self) -> bool:
        """True if nothing that counts differs."""
        return self.is_emulated and not (self.status or self.structure or self.headers)

    @property
    def differences(self) -> list[str]:
        """Everything that counts."""
        if not self.is_emulated:
            return ["not emulated"]
        return [*filter(None, [self.status]), *self.structure, *self.headers]


def compare(exchange: Exchange, asked: Asked) -> Comparison:
    """Compare an emulator's answer with the recorded one."""
    answer = asked.answer
    try:
        body: Any = answer.body
    except ValueError:
        body = answer.text
    if answer.status == 501 and "NotEmulated" in answer.text:
        return Comparison(is_emulated=False)
    found = Comparison()
    if answer.status != exchange.status:
        found.status = f"status: {exchange.status} recorded, {answer.status} here: {answer.text[:200]}"
    recorded = None if exchange.body == "null" and answer.text == "null" else exchange.body
    if not (recorded is None and answer.text in ("", "null")):
        for is_value, text in _in_bodies(recorded, body, ""):
            (found.values if is_value else found.structure).append(text)
    found.headers += _in_headers(exchange.headers, answer.headers, asked.base_url)
    return found


def _in_bodies(recorded: Any, here: Any, place: str) -> Iterator[tuple[bool, str]]:
    """Yield each difference: whether it is only one of values, and its description."""
    if isinstance(recorded, dict) and isinstance(here, dict):
        yield from _in_objects(recorded, here, place)
    elif isinstance(recorded, list) and isinstance(here, list):
        if len(recorded) != len(here):
            yield False, f"length: {place} has {len(recorded)} recorded, {len(here)} here"
        for index, (theirs, mine) in enumerate(zip(recorded, here, strict=False)):
            yield from _in_bodies(theirs, mine, f"{place}[{index}]")
    elif _kind(recorded) != _kind(here):
        yield False, f"type: {place} is {_kind(recorded)} recorded, {_kind(here)} here"
    elif not _alike(recorded, here):
        yield True, f"value: {place} is {recorded!r} recorded, {here!r} here"


def _in_objects(recorded: Mapping[str, Any], here: Mapping[str, Any], place: str) -> Iterator[tuple[bool, str]]:
    for key in recorded.keys() - here.keys():
        yield False, f"{'null' if recorded[key] is None else 'a value'} recorded, absent here: {place}.{key}"
    for key in here.keys() - recorded.keys():
        yield False, f"absent recorded, {'null' if here[key] is None else 'a value'} here: {place}.{key}"
    theirs, mine = [key for key in recorded if key in here], [key for key in here if key in recorded]
    if theirs != mine:
        yield False, f"order: {place or 'the body'} has {', '.join(theirs)} recorded, {', '.join(mine)} here"
    for key in theirs:
        if key not in _WHO:
            yield from _in_bodies(recorded[key], here[key], f"{place}.{key}")


def _in_headers(recorded: Mapping[str, str], here: Any, base_url: str) -> Iterator[str]:
    for name in _ADDRESSES:
        theirs, mine = recorded.get(name), here.get(name)
        if (theirs is None) != (mine is None):
            yield f"header {name}: {'absent' if theirs is None else 'present'} recorded, not so here"
        elif theirs is not None:
            yield from _in_addresses(name, theirs, mine.replace(base_url, _ARM))
    for name in _EQUAL:
        if not _alike(recorded.get(name), here.get(name)):
            yield f"header {name}: {recorded.get(name)} recorded, {here.get(name)} here"
    # Recordings of some tools have none of these headers.
    if _OLD not in recorded and any(name in recorded for name in _PRESENT):
        for name in _PRESENT:
            if (name in recorded) != (here.get(name) is not None):
                yield f"header {name}: {'present' if name in recorded else 'absent'} recorded, not so here"


def _in_addresses(name: str, recorded: str, here: str) -> Iterator[str]:
    theirs, mine = urlsplit(recorded), urlsplit(here)
    if not _alike(theirs.netloc + theirs.path, mine.netloc + mine.path):
        yield f"header {name}: {theirs.netloc}{theirs.path} recorded, {mine.netloc}{mine.path} here"
    keys = [[key for key, _ in parse_qsl(url.query, keep_blank_values=True)] for url in (theirs, mine)]
    if keys[0] != keys[1]:
        yield f"header {name}: its query has {', '.join(keys[0])} recorded, {', '.join(keys[1])} here"


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "a truth value"
    names = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number"}
    return names[type(value)]


def _alike(recorded: Any, here: Any) -> bool:
    if not (isinstance(recorded, str) and isinstance(here, str)):
        return bool(recorded == here)
    if recorded == "Sanitized":
        return True
    recorded, here = (_TIME.sub(lambda time: f"@time{time[1]}{time[3]}@", text) for text in (recorded, here))
    pattern = ".*".join(re.escape(part) for part in _REPLACED.split(recorded))
    return re.fullmatch(pattern, here, re.DOTALL | re.IGNORECASE) is not None
