"""Malformed requests to every route: each is answered, none with a 5xx, and the emulator still serves."""

from __future__ import annotations

import copy
import http.client
import json
import re
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.contract.arm import Arm
from tests.contract.valid_requests import ASSETS, VARIABLE, Target, admin_headers, prepare, targets
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.arm.rbac import RoleAssignment, role_named

#: Requests of one run.
_REQUESTS = 2_000

_WORDS = st.sampled_from(
    [
        "",
        "..",
        "../..",
        "/etc/passwd",
        "a/b",
        "\0",
        "\n",
        "x" * 5_000,
        "é",
        "☃",
        "\ud800",
        "-1",
        "1e308",
        "null",
        "%s",
        "{0}",
        "*",
        "a" * 256,
        "PT1S",
        "-PT1S",
        "P99999999D",
        "nan",
        "SystemAssigned",
        "${{inputs.data}}",
        "2g",
        "9" * 30,
    ]
)
_NUMBERS = st.sampled_from(
    [0, -1, 1, 10**9, 10**12, 2**63, 10**400, -(10**30), 1.5, 1e308, float("inf"), float("nan"), -0.0]
)
#: Of a small alphabet: for any other, hypothesis looks at all of Unicode first, which costs more than all requests.
_TEXTS = st.text("aZ0 -_./\\%\"'{}$&=\0\n\x1b\x7f\x85é☃\u202e\ufeff\uffff😀", max_size=5)
_SCALARS = st.none() | st.booleans() | _NUMBERS | _WORDS | _TEXTS
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | _TEXTS, inner, max_size=3),
    max_leaves=6,
)
_RAW = st.sampled_from(
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b'{"properties": "\\ud800"}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"properties": ' + b"9" * 10_000 + b"}",
        b'{"properties": NaN}',
        b"\x1f\x8b\x08broken",
        b"a=1&a=2&%ff=%00",
    ]
)
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "Content-Encoding",
            "Range",
            "x-ms-range",
            "If-Match",
            "x-ms-version",
            "Accept",
            "client-request-id",
            "X-IDENTITY-HEADER",
        ]
    ),
    st.sampled_from(
        [
            *("", "gzip", "deflate", "br", "text/plain; charset=nothing", "application/json; charset=utf-16"),
            *("bytes=5-1", "bytes=" + "9" * 5_000 + "-", "multipart/form-data", "multipart/form-data; boundary=x"),
            *("\xff\xfe", "*", "é"),
        ]
    ),
    max_size=2,
)

_PARAMETERS = st.dictionaries(
    st.sampled_from(
        [
            *("$skip", "$top", "listViewType", "tag", "properties", "maxresults", "$skiptoken", "$filter"),
            *("prefix", "underlyingResourceAction", "sig", "se", "st", "sv", "api-version"),
        ]
    ),
    _WORDS,
    max_size=2,
)


def _places(body: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    for key, value in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        yield from _places(value, (*place, key))


@st.composite
def _bodies(draw: st.DrawFn, valid: Any) -> bytes:
    """The valid body with other things in up to three places, or something else altogether."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(_RAW)
    if kind == 1:
        return json.dumps(draw(_VALUES)).encode()
    body = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(body))
        place = places[draw(st.integers(0, len(places) - 1))]
        value = draw(_VALUES)
        if not place:
            body = value
            continue
        holder = body
        for key in place[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
            holder[draw(_WORDS)] = holder.pop(place[-1])
        else:
            holder[place[-1]] = value
    return json.dumps(body).encode()


@st.composite
def _requests(draw: st.DrawFn, target: Target) -> tuple[str, dict[str, str], bytes]:
    names = {name: draw(st.just(value) if draw(st.integers(0, 3)) else _WORDS) for name, value in target.names.items()}
    query = {key: value for key, value in target.query.items() if draw(st.integers(0, 9))}
    query |= draw(_PARAMETERS)
    body = draw(_bodies(target.body))
    return _path(target.template, names) + "?" + _query(query), {**draw(_HEADERS), "x-fuzz": "1"}, body


def _path(template: str, names: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return quote(names[found["name"]].encode("utf-8", "surrogatepass"), safe="/" if found["name"] == "blob" else "")

    return VARIABLE.sub(value, template)


def _query(query: Mapping[str, str]) -> str:
    return urlencode({key: value.encode("utf-8", "surrogatepass") for key, value in query.items()}).replace("%25", "%")


class _Client:
    """Raw requests over one connection to each address."""

    def __init__(self, emulator: Emulator) -> None:
        self._tls = ssl.create_default_context(cafile=str(emulator.ca_file))
        self._connections: dict[str, http.client.HTTPSConnection] = {}

    def send(self, target: Target, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        where = urlsplit(target.address)
        connection = self._connections.get(target.address)
        if connection is None:
            connection = http.client.HTTPSConnection(where.netloc, context=self._tls, timeout=60)
            self._connections[target.address] = connection
        for _ in range(2):  # the connection may have been closed after the last answer
            try:
                sent = None if target.method in ("GET", "HEAD") else body
                connection.request(target.method, path, sent, dict(headers))
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()
        return 599, b"no answer"

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


#: What ends the conditions that the other routes need: asked last.
_LAST = ("/_emulator/reset", "/_emulator/secret/rotate", "/_emulator/roles", "/_emulator/tokens/revoke")


def _order(target: Target) -> tuple[bool, bool, bool]:
    """Return what sorts the requests that make what others need first, and those that take it away last."""
    return target.template.startswith(_LAST), target.method == "DELETE", target.method != "PUT"


@dataclass
class _Seen:
    """What a fuzz has seen: requests by route, and those that were answered with a 5xx."""

    hit: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def _form(body: bytes) -> bytes:
    """The same as a form, as far as it is one."""
    try:
        sent = dict(json.loads(body))
        return urlencode({key: str(value).encode("utf-8", "replace") for key, value in sent.items()}).encode()
    except (ValueError, TypeError, RecursionError):
        return body


def _fuzz(client: _Client, target: Target, examples: int, seen: _Seen) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(request=_requests(target))
    def send(request: tuple[str, dict[str, str], bytes]) -> None:
        path, headers, body = request
        if "grant_type" in target.body:
            body = _form(body)
        status, answer = client.send(
            target, path, {**target.headers(urlsplit(path).path, target.query), **headers}, body
        )
        seen.hit[f"{target.method} {target.template}"] += 1
        # An answer to HEAD has no body that would name the code.
        is_refused = status == 501 and (target.method == "HEAD" or b"NotEmulated" in answer)
        if status >= 500 and not is_refused:
            seen.broken.append(f"{status} {target.method} {path[:200]} {headers} {body[:400]!r}: {answer[:99]!r}")

    send()


def test_what_the_fuzz_varies_is_carried_out(emulator: Emulator) -> None:
    prepare(emulator)
    client = _Client(emulator)
    answers: dict[str, int] = {}

    for target in sorted(targets(emulator), key=_order):
        emulator.run(_restore(emulator))
        path = _path(target.template, target.names)
        body = json.dumps(target.body).encode()
        body = _form(body) if "grant_type" in target.body else body
        status, _ = client.send(target, f"{path}?{_query(target.query)}", target.headers(path, target.query), body)
        answers[f"{target.method} {target.template}"] = status

    client.close()
    refused = {route: status for route, status in answers.items() if status in (401, 403, 405)}
    assert refused == {"GET /obo/{secret}/token": 401}  # the secret is that of a job with its user's identity
    assert answers["GET /{account:st[0-9a-f]{12}}.blob.{suffix:core[.a-z]+}/{container:[^/]+}/{blob:(?s:.+)}"] == 200
    (imported,) = (status for route, status in answers.items() if route.endswith("/import"))
    assert imported == 200
    # What is not there, and what the other requests have already changed.
    assert sum(status < 400 for status in answers.values()) > 0.8 * len(answers)


def test_data_without_files_cannot_be_shared(emulator: Emulator) -> None:
    arm = Arm(emulator)
    assert arm.call("PUT", "data/asset/versions/1", {"properties": ASSETS["data"]}).status == 201
    ends = ("MachineLearningServices/registries/{registry}", "/import")
    making = [target for target in targets(emulator) if target.method in ("PUT", "POST")]
    client = _Client(emulator)

    for end in ends:
        target = next(target for target in making if target.template.endswith(end))
        path = f"{_path(target.template, target.names)}?{_query(target.query)}"
        status, answer = client.send(target, path, target.headers(path, target.query), json.dumps(target.body).encode())

    client.close()
    assert (status, b"has no files" in answer) == (400, True), answer


@pytest.mark.timeout(900)
def test_no_malformed_request_is_an_error_of_the_emulator(emulator: Emulator) -> None:
    prepare(emulator)
    client, arm, seen = _Client(emulator), Arm(emulator), _Seen()
    every = sorted(targets(emulator), key=_order)

    for target in every:
        emulator.run(_restore(emulator))
        _fuzz(client, target, -(-_REQUESTS // len(every)), seen)
        # What it has armed on purpose is not for the next route.
        assert arm.call("DELETE", "/_emulator/faults", headers=admin_headers(emulator)).status == 204

    client.close()
    assert not seen.broken, "\n".join(seen.broken)
    assert set(seen.hit) == {f"{target.method} {target.template}" for target in every}
    assert seen.hit.total() >= _REQUESTS
    emulator.run(_restore(emulator))
    assert arm.call("GET", "jobs").status == 200


async def _restore(emulator: Emulator) -> None:
    """Undo what a fuzz of a route has set: settings, roles, deleted resources."""
    context = emulator.context
    context.settings.latency, context.settings.rate_limits, context.settings.token_lifetime = 0.0, False, 3600.0
    context.store.make_owner(context.identity.object_id)
    officer = role_named("Key Vault Administrator")
    assert officer is not None
    for vault in context.store.vaults:
        vault.uses_roles = True
        context.store.role_assignments.append(RoleAssignment("v", vault.path, context.identity.object_id, officer))
