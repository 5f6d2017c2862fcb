"""Differences between a recorded answer of Azure ML and the emulator's: pure.

Status, keys, null against absent, types, the order of keys and the headers count, as a whole. Values are compared too,
and reported, but do not count: ids, times and versions of the service differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.parity.exchange import Asked, Exchange

_ARM = "https://management.azure.com"
_RATE = "x-ms-ratelimit-remaining-subscription"

#: Headers with addresses, and headers with values that are the same in each answer. That one of these is absent counts.
_ADDRESSES = ("location", "azure-asyncoperation")
_EQUAL = ("content-type", "x-ms-response-type", "x-ms-async-operation-timeout", "retry-after", "x-ms-failure-cause")
#: Headers that are present in answers since 2025, those before have `_OLD`.
_PRESENT = (
    "azureml-served-by-cluster",
    *(f"{_RATE}{scope}-{kind}" for scope in ("", "-global") for kind in ("reads", "writes", "deletes")),
)
_OLD = "x-aml-cluster"
#: Headers of the way between the service and the recorder: its proxies, the connection, the compression. `date` and
#: `x-msedge-ref` are there in each answer of the emulator too, for which no test is needed.
_OF_THE_WAY = frozenset(
    {"date", "content-length", "content-encoding", "transfer-encoding", "connection", "x-cache", "x-msedge-ref", _OLD}
)

_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d{1,7})?(\+00:00|Z|)")

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{9,12}")

#: What stands in a recording for something that was replaced: `<uuid>`.
_REPLACED = re.compile(r"<[^<>]{1,60}>")

#: Differences that count between whole bodies only.
_OF_WHOLE_BODIES = ("absent recorded", "order:", "length:")

#: What stands for the rest that was not quoted.
_NOT_QUOTED = re.compile(r": <[^<>]+>$")

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
    for step in exchange.place:
        body = body[step]
    if answer.status == 501 and "NotEmulated" in answer.text:
        return Comparison(is_emulated=False)
    found = Comparison()
    if exchange.status and answer.status != exchange.status:
        found.status = f"status: {exchange.status} recorded, {answer.status} here: {answer.text[:200]}"
    recorded = None if exchange.body == "null" and answer.text == "null" else exchange.body
    if not (recorded is None and answer.text in ("", "null")):
        for is_value, text in _in_bodies(recorded, body, ""):
            if exchange.is_partial and (text.startswith(_OF_WHOLE_BODIES) or _NOT_QUOTED.search(text)):
                continue
            (found.values if is_value else found.structure).append(text)
    found.headers += sorted(_in_headers(exchange, answer.headers, asked.base_url))
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
        quoted = f": {recorded}" if isinstance(recorded, str) and _REPLACED.fullmatch(recorded) else ""
        yield False, f"type: {place} is {_kind(recorded)} recorded, {_kind(here)} here{quoted}"
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


def _in_headers(exchange: Exchange, here: Any, base_url: str) -> Iterator[str]:
    recorded = exchange.headers
    for name in _ADDRESSES:
        theirs, mine = recorded.get(name), here.get(name)
        if theirs is not None and mine is not None:
            yield from _in_addresses(name, theirs, mine.replace(base_url, _ARM))
    for name in _EQUAL:
        if name in recorded and name in here and not _alike(recorded[name], here[name]):
            yield f"header {name}: {recorded[name]} recorded, {here[name]} here"
    if recorded.get("content-length") == "0" and here.get("content-length") != "0":
        yield f"header content-length: 0 recorded, {here.get('content-length')} here"
    for name in recorded.keys() - _OF_THE_WAY:
        if name not in here:
            yield f"header {name}: present recorded, not so here"
    for name in _telling_if_absent(exchange):
        if name in here and name not in recorded:
            yield f"header {name}: absent recorded, not so here"


def _telling_if_absent(exchange: Exchange) -> Iterable[str]:
    """Return the headers whose absence in a recording shows that the service did not send them."""
    if exchange.is_partial:
        return ()
    if exchange.has_all_headers:
        return {*_ADDRESSES, *_EQUAL, "x-ms-client-request-id", *(name for name in _PRESENT if name.startswith(_RATE))}
    if exchange.are_headers_chosen or not any(name in exchange.headers for name in _PRESENT):
        return (*_ADDRESSES, *_EQUAL)
    return (*_ADDRESSES, *_EQUAL, *(() if _OLD in exchange.headers else _PRESENT))


def _in_addresses(name: str, recorded: str, here: str) -> Iterator[str]:
    theirs, mine = (urlsplit(_UUID.sub("<uuid>", address)) for address in (recorded, here))
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
