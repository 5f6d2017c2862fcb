"""Differences between what Azure answered in a run and what the emulator answers to the same tests. Pure.

tests/parity compares two answers; here answers of two runs are put in pairs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from itertools import zip_longest
from typing import Any

from tests.contract.arm import Answer
from tests.live.declared import DECLARED
from tests.live.patterns import REFERENCE
from tests.parity.comparison import compare
from tests.parity.exchange import Asked, Exchange
from zenml_azureml.contract.usage import MARK

Recorded = Mapping[str, Any]

#: What all paths of a workspace begin with.
_BEFORE = re.compile(
    r"^(?:/history/v1\.0)?/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/workspaces/[^/?]+/?"
)
_REFERENCE_OF_RUN = re.compile(r"<(\w+)-[0-9a-f]{8}>")
#: Parts of a query that are different each time.
_VOLATILE = re.compile(r"(?<=[?&])(?:t|c|s|h|se|st|ske|skt|sig|skoid|sktid|\$?skip(?:token)?)=[^&]*&?", re.IGNORECASE)
#: Times in URLs, in names of versions and of ZenML's runs, durations, and folders of a run.
_MOMENTS = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(?:\.\d+)?Z|\d{4}(?:-\d\d){5}-\d+|\b\d\d:\d\d:\d\d\.\d+\b"
    r"|\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d_\d+|/live-[a-z0-9_]{8}(?=/)"
)
#: What stands for a signed URL in a recording.
_SIGNATURE = re.compile(r"<secret-[0-9a-f]{8}>")
#: The SSH keys that a run makes for itself.
_NEW_KEYS = re.compile(r"(?<=ssh-ed25519 )[A-Za-z0-9+/]{40,}={0,2}")
#: What a step's job has measured, in its log: other numbers in each run, in a line that comes sooner or later.
_MEASURED = re.compile(rf"^{re.escape(MARK)}.*\n?", re.MULTILINE)
#: In the paths of logs, which grow between two reads.
_LOGS = "/user_logs/"
#: Keys of numbers that count what the service has ever done.
_COUNTED = frozenset({"runNumber", "rootRunNumber"})

#: POST requests that read, and may be sent any number of times.
_READS = re.compile(r"/(?:listNodes|listSecrets|rundata)$", re.IGNORECASE)
#: States that something passes through, for a shorter or a longer time; one of the two may not show them.
_PASSING = frozenset(
    {
        *("NotStarted", "Starting", "Provisioning", "Preparing", "Queued", "Running", "Finalizing", "CancelRequested"),
        *("Creating", "Updating", "Deleting", "InProgress", "Resizing", "Waiting"),
    }
)


@dataclass(frozen=True)
class Difference:
    """A difference.

    Attributes:
        test: The test.
        operation: Method and path.
        kind: `status`, `structure`, `header`, `value`, `identity` or `request`.
        text: Its description.
        reason: Why it stays; empty if it is not declared.
    """

    test: str
    operation: str
    kind: str
    text: str
    reason: str = ""


def differences(azure: Mapping[str, list[Any]], emulator: Mapping[str, list[Any]]) -> list[Difference]:
    """Return the differences of two runs.

    Args:
        azure: Exchanges with Azure by test, in their order.
        emulator: The same with the emulator.
    """
    found = []
    for test in sorted(azure.keys() | emulator.keys()):
        found += list(_of_test(test, *(_steady(side.get(test, [])) for side in (azure, emulator))))
    return [_declared(one) for one in dict.fromkeys(found)]


def _steady(value: Any, key: str = "") -> Any:
    """Return a value without what is different in each answer of the same service: numbers, times, durations, keys."""
    if isinstance(value, dict):
        return {_REFERENCE_OF_RUN.sub(r"<\1>", name): _steady(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_steady(item, key) for item in value]
    if key in _COUNTED and isinstance(value, int):
        return 1
    if isinstance(value, str) and key.endswith(".txt"):  # the URL of a log, which is signed anew for each answer
        value = _SIGNATURE.sub("<secret>", value)
    if isinstance(value, str) and key == "response_body":  # a log
        value = _MEASURED.sub("", value)
    return _MOMENTS.sub("<moment>", _NEW_KEYS.sub("<new key>", value)) if isinstance(value, str) else value


def table(found: Iterable[Difference], compared: int) -> str:
    """Return the differences as a table, with a last line that counts them."""
    rows = list(found)
    lines = []
    for one in rows:
        mark = f" (declared: {one.reason})" if one.reason else ""
        lines.append(f"{one.test} | {one.operation} | {one.kind} | {one.text}{mark}")
    kinds = [f"{sum(one.kind == kind for one in rows)} {kind}" for kind in sorted({one.kind for one in rows})]
    declared = sum(bool(one.reason) for one in rows)
    lines.append(
        f"{len(rows)} differences in {compared} answers ({', '.join(kinds) or 'none of any kind'}; {declared} declared)"
    )
    return "\n".join(lines)


def _of_test(test: str, azure: list[Recorded], emulator: list[Recorded]) -> Iterator[Difference]:
    sames = _Identities()
    theirs, mine = _grouped(azure), _grouped(emulator)
    pairs: Iterable[tuple[Recorded | None, Recorded | None]]
    for key in {**theirs, **mine}:
        operation = f"{key[0]} {_BEFORE.sub('', key[1])}"
        if _is_read(key):
            pairs = _paired_by_state(theirs.get(key, []), mine.get(key, []))
        else:
            pairs = zip_longest(theirs.get(key, []), mine.get(key, []))
        for recorded, here in pairs:
            if recorded is None:
                yield Difference(test, operation, "request", f"only here: {_state(here or {})}")
                continue
            if here is None:
                yield Difference(test, operation, "request", f"only on Azure: {_state(recorded)}")
                continue
            for kind, text in _of_pair(recorded, here):
                yield Difference(test, operation, kind, text)
            for text in sames.compare(recorded, here):
                yield Difference(test, operation, "identity", text)


def _of_pair(recorded: Recorded, here: Recorded) -> Iterator[tuple[str, str]]:
    headers = Message()
    for name, value in here["response_headers"].items():
        headers[name] = value
    body = here["response_body"]
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    exchange = Exchange(
        name="",
        number=0,
        kind="recording",
        api_version=recorded["api_version"],
        region=recorded["region"],
        method=recorded["method"],
        path=recorded["path"],
        request_body=recorded["request_body"],
        status=recorded["status"],
        headers={name.lower(): value for name, value in recorded["response_headers"].items()},
        body=recorded["response_body"],
    )
    found = compare(exchange, Asked(Answer(here["status"], headers, text), "https://management.azure.com"))
    if not found.is_emulated:
        yield "status", "not emulated"
    if found.status:
        yield "status", found.status
    yield from (("structure", text) for text in found.structure)
    yield from (("header", text) for text in found.headers)
    is_log = _LOGS in recorded["path"]
    if not (is_log and _is_beginning(recorded["response_body"], here["response_body"])):
        yield from (("value", text) for text in found.values if not _is_of_passing(text))


def _is_beginning(recorded: Any, here: Any) -> bool:
    """True for two texts of which one is the beginning of the other: a log that one client read earlier."""
    if not (isinstance(recorded, str) and isinstance(here, str)):
        return False
    shorter, longer = sorted((recorded, here), key=len)
    return bool(shorter) and longer.startswith(shorter)


def _is_of_passing(text: str) -> bool:
    """True for two states of a job of which one is on the way to another: a write may meet either."""
    return text.startswith("value: .properties.status is ") and any(f"'{state}'" in text for state in _PASSING)


class _Identities:
    """Finds out if the same references stand for the same values in both runs."""

    def __init__(self) -> None:
        self._pairs: dict[str, str] = {}
        self._back: dict[str, str] = {}

    def compare(self, recorded: Recorded, here: Recorded) -> Iterator[str]:
        """Yield each reference that stood for something else before."""
        for place, theirs, mine in _texts(recorded["response_body"], here["response_body"], ""):
            lists = _references(theirs), _references(mine)
            if len(lists[0]) != len(lists[1]):
                yield f"identity: {place} is {theirs[:200]} recorded, {mine[:200]} here"
                continue
            for one, other in zip(*lists, strict=True):
                if self._pairs.setdefault(one, other) != other or self._back.setdefault(other, one) != one:
                    yield f"identity: {place} is {one} recorded, {other} here, which are not the same as elsewhere"


def _references(text: str) -> list[str]:
    return REFERENCE.findall(text)


def _texts(recorded: Any, here: Any, place: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(recorded, dict) and isinstance(here, dict):
        for key in recorded:
            if key in here:
                yield from _texts(recorded[key], here[key], f"{place}.{key}")
    elif isinstance(recorded, list) and isinstance(here, list):
        for index, (one, other) in enumerate(zip(recorded, here, strict=False)):
            yield from _texts(one, other, f"{place}[{index}]")
    elif isinstance(recorded, str) and isinstance(here, str):
        yield place, recorded, here


def _grouped(exchanges: Iterable[Recorded]) -> dict[tuple[str, str], list[Recorded]]:
    found: dict[tuple[str, str], list[Recorded]] = {}
    jobs: list[str] = []
    for one in exchanges:
        if one["method"] == "PUT" and "/jobs/" in one["path"]:
            jobs += [each for each in _references(one["path"].partition("/jobs/")[2]) if each not in jobs]
        found.setdefault((one["method"], _address(one["path"], jobs)), []).append(one)
    return found


def _address(path: str, jobs: Sequence[str]) -> str:
    """Return a path without what is different in each run; the further jobs of a test have numbers."""
    for number, reference in enumerate(jobs[1:], start=2):
        path = path.replace(reference, f"<job {number}>")
    plain = _REFERENCE_OF_RUN.sub(r"<\1>", path)
    return _VOLATILE.sub("", plain).rstrip("?&")


def _is_read(key: tuple[str, str]) -> bool:
    return key[0] in ("GET", "HEAD") or (key[0] == "POST" and _READS.search(key[1].partition("?")[0]) is not None)


def _paired_by_state(
    azure: list[Recorded], emulator: list[Recorded]
) -> Iterator[tuple[Recorded | None, Recorded | None]]:
    """Yield the first answers of each state; those of a passing state only if both runs have shown it."""
    theirs, mine = _first_by_state(azure), _first_by_state(emulator)
    # If one state of each side alone is left, it is the same answer with another status.
    lone = [
        [state for state in one if state not in other and not _is_passing(state)]
        for one, other in ((theirs, mine), (mine, theirs))
    ]
    both = theirs.keys() & mine.keys()
    for state in both:
        yield theirs[state], mine[state]
    for one, other in zip_longest(*lone):
        if both and (one is None or other is None) and _depends_on_when(one or other or ""):
            continue
        yield (theirs[one] if one else None, mine[other] if other else None)


def _first_by_state(exchanges: list[Recorded]) -> dict[str, Recorded]:
    found: dict[str, Recorded] = {}
    for one in exchanges:
        found.setdefault(_state(one), one)
    return found


def _state(exchange: Recorded) -> str:
    """Return HTTP status and the state in a body."""
    body = exchange.get("response_body")
    words = [str(exchange.get("status"))]
    if isinstance(body, dict):
        properties: dict[str, Any] = body["properties"] if isinstance(body.get("properties"), dict) else {}
        words += [str(word) for word in (properties.get("status"), properties.get("provisioningState")) if word]
        inner = properties.get("properties")
        if isinstance(inner, dict) and isinstance(inner.get("allocationState"), str):
            words.append(inner["allocationState"])
        if isinstance(body.get("status"), str):
            words.append(body["status"])
        if isinstance(body.get("value"), list):
            states = [
                str((one.get("properties") or {}).get("status")) for one in body["value"] if isinstance(one, dict)
            ]
            words += sorted({state for state in states if state in _PASSING})
    return " ".join(words)


def _depends_on_when(state: str) -> bool:
    """True if a further answer in this state depends on when a client asked: a success, or no new bytes in a log."""
    return state.startswith(("2", "416"))


def _is_passing(state: str) -> bool:
    status, *words = state.split(" ")
    return status == "202" or any(word in _PASSING for word in words)


def _declared(one: Difference) -> Difference:
    plain = REFERENCE.sub("<>", f"{one.operation} {one.text}")
    for pattern, reason in DECLARED.items():
        if re.search(pattern, plain):
            return Difference(one.test, one.operation, one.kind, one.text, reason)
    return one
