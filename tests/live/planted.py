"""An emulator that answers otherwise in twenty places: a server before it that changes its answers."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import trustme

from zenml_azureml.emulator.local.instance import Running

_OF_CONNECTION = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding", "date"}


@dataclass
class Reply:
    """An answer on its way; plants change it."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Plant:
    """A planted difference.

    Attributes:
        method: HTTP method of its requests.
        path: Regular expression of their paths.
        found_as: Regular expression of the row that reports it.
        change: Changes the answer.
        status: The status of answers that it changes; 0 for any.
        times: How often it changes one; 0 for always.
        after: How many such answers pass unchanged first.
    """

    method: str
    path: str
    found_as: str
    change: Callable[[Reply], None]
    status: int = 0
    times: int = 0
    after: int = 0


def _properties(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = reply.body["properties"]
    return found


def _set(*keys: str, to: Any) -> Callable[[Reply], None]:
    def change(reply: Reply) -> None:
        where = reply.body
        for key in keys[:-1]:
            where = where[key]
        where[keys[-1]] = to

    return change


def _reversed(reply: Reply) -> None:
    reply.body["properties"] = dict(reversed(_properties(reply).items()))


def _status(status: int) -> Callable[[Reply], None]:
    return lambda reply: setattr(reply, "status", status)


def _unavailable(reply: Reply) -> None:
    reply.status, reply.body = 503, {"error": {"code": "ServerBusy", "message": "Busy."}}


def _location(reply: Reply) -> None:
    reply.headers["Location"] = reply.headers["Location"].replace("api-version=", "version=")


def _next_line(reply: Reply) -> None:
    reply.body["error"]["message"] += " Try another one."


def _leak(reply: Reply) -> None:
    """Put the caller's id into an answer, in a form that no pattern finds."""
    found = re.search(r"objectid=([0-9a-f-]{36})", reply.headers.get("x-ms-operation-identifier", ""), re.IGNORECASE)
    assert found, reply.headers
    reply.headers["x-ms-debug"] = base64.b64encode(f"for {found[1]} only".encode()).decode()


def _without_header(name: str) -> Callable[[Reply], None]:
    return lambda reply: reply.headers.__delitem__(name)


def _without(key: str) -> Callable[[Reply], None]:
    return lambda reply: _properties(reply).__delitem__(key)


def _without_last(reply: Reply) -> None:
    reply.body["value"].pop()


def _other_type(reply: Reply) -> None:
    reply.headers["Content-Type"] = "application/json"


_DELETES = "x-ms-ratelimit-remaining-subscription-deletes"
_OTHER_PERSON = "5d41402a-bc4b-4a76-b971-9d911017c592"
_ECHO, _FAILS = r"/jobs/[^/]+-echo$", r"/jobs/[^/]+-fails$"
_CPU = r"/computes/[^/]+-cpu$"
_OURS, _GONE = r"/environments/[^/]+-ours/versions/1$", r"/environments/[^/]+-gone$"

#: Twenty differences: of status, structure, headers, values, identities and requests.
PLANTS = (
    Plant(
        "PUT", _ECHO, r"recorded, .*\.properties\.isArchived", lambda r: _properties(r).__delitem__("isArchived"), 201
    ),
    Plant("PUT", _ECHO, r"absent here: \.properties\.novelty", _set("properties", "novelty", to=1), 201),
    Plant("PUT", _ECHO, r"header location: its query", _location, 201),
    Plant("GET", _FAILS, r"type: \.properties\.isArchived is text", _set("properties", "isArchived", to="no")),
    Plant("GET", _FAILS, r"order: \.properties", _reversed),
    Plant("GET", _ECHO, r"identity: \.systemData", _set("systemData", "createdBy", to=_OTHER_PERSON)),
    Plant("POST", r"/rundata$", r"\.runMetadata\.planted", _set("runMetadata", "planted", to={})),
    Plant("GET", r"/details$", r"\.logFiles\.user_logs/extra", _set("logFiles", "user_logs/extra.txt", to="x")),
    Plant("GET", r"/vmSizes$", r"length: \.value", _without_last),
    Plant("GET", r"/vmSizes$", r"header content-type", _other_type),
    Plant("PUT", _CPU, r"\| status \|", _status(200), 201, after=1),
    Plant("PUT", _OURS, r"header x-ms-response-type", _without_header("x-ms-response-type"), 201),
    Plant("GET", _GONE, r"type: \.properties\.isArchived is null", _set("properties", "isArchived", to=None)),
    Plant("DELETE", r"-gone/versions/1$", f"header {_DELETES}", _without_header(_DELETES)),
    Plant("PUT", r"/jobs/a\.b$", r"value: \.error\.message", _next_line),
    Plant("PUT", r"-conda/versions/1$", r"value: \.error\.code", _set("error", "code", to="ValidationError")),
    Plant("GET", _CPU, r"value: .*\.osType", _set("properties", "properties", "osType", to="Windows"), 200),
    Plant("GET", r"/environments/nobody/versions/1$", r"request \| only on Azure: 503", _unavailable, times=1),
    Plant("POST", r"/listNodes$", r"null recorded, absent here: \.nextLink", _set("nextLink", to=None)),
    Plant("GET", r"/computeOperationsStatus/", r"absent here: \.percentComplete", _set("percentComplete", to=100), 200),
)
#: What must not be recorded.
LEAK = Plant("GET", r"/computes/cpu-cluster-non-existent$", "", _leak)


class Planted(ThreadingHTTPServer):
    """Forwards requests to an emulator, and changes its answers.

    Attributes:
        url: Its address.
        met: How often each plant has changed an answer.
    """

    daemon_threads = True

    def __init__(self, running: Running, ca: trustme.CA, plants: tuple[Plant, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_port}"
        self.behind = running.base_url
        self.plants = plants
        self.met = dict.fromkeys(plants, 0)
        self._passed = dict.fromkeys(plants, 0)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(running.ca_bundle)

    def changed(self, method: str, path: str, reply: Reply) -> None:
        """Change an answer as all plants of its request say."""
        for plant in self.plants:
            if (
                plant.method == method
                and re.search(plant.path, path)
                and plant.status in (0, reply.status)
                and not (plant.times and self.met[plant] >= plant.times)
            ):
                self._passed[plant] += 1
                if self._passed[plant] > plant.after:
                    plant.change(reply)
                    self.met[plant] += 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Planted

    def _forward(self) -> None:
        here, behind = self.server.url, self.server.behind
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "accept-encoding")}
        answer = self.server.session.request(
            self.command,
            behind + self.path,
            data=body.replace(here.encode(), behind.encode()),
            headers=sent,
            allow_redirects=False,
            timeout=120,
        )
        headers = {
            name: value.replace(behind, here)
            for name, value in answer.headers.items()
            if name.lower() not in _OF_CONNECTION
        }
        # Without the scheme: MLflow's address has another one.
        content = answer.content.replace(urlsplit(behind).netloc.encode(), urlsplit(here).netloc.encode())
        reply = Reply(answer.status_code, headers, None)
        try:
            reply.body = json.loads(content)
        except ValueError:
            reply.body = None
        before = json.dumps(reply.body)
        self.server.changed(self.command, self.path.partition("?")[0], reply)
        after = json.dumps(reply.body)
        self._answer(reply, content if before == after else after.encode())

    def _answer(self, reply: Reply, content: bytes) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _forward  # noqa: N815 - the names are Python's

    def log_message(self, *_: object) -> None: ...


@contextmanager
def planted(running: Running, folder: Path, plants: tuple[Plant, ...]) -> Iterator[tuple[Planted, Path]]:
    """Serve before an emulator; gives the server, and a file with the certificates of both."""
    ca = trustme.CA()
    bundle = folder / "both.pem"
    bundle.write_bytes(running.ca_bundle.read_bytes() + b"\n" + ca.cert_pem.bytes())
    with Planted(running, ca, plants) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server, bundle
        finally:
            server.shutdown()
