"""Azure as it must not be: an HTTPS server that answers as a test wants it to, byte by byte."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from zenml_azureml.azure.connection import WorkspaceAddress

ADDRESS = ("00000000-0000-0000-0000-000000000001", "group", "hostile")
WORKSPACE = (
    f"/subscriptions/{ADDRESS[0]}/resourceGroups/{ADDRESS[1]}/providers/Microsoft.MachineLearningServices/workspaces/"
    f"{ADDRESS[2]}"
)
#: Of the image `ubuntu`.
ENVIRONMENT = f"{WORKSPACE}/environments/zenml-ubuntu-7804a56a5c76/versions/1"
LOG = "user_logs/std_log.txt"

_RECORDED = Path(__file__).parents[1] / "contract" / "recorded"

#: What an answer does: it has the connection to itself.
Behaviour = Callable[["Handler"], None]


@dataclass
class HostileServer:
    """The server.

    Attributes:
        url: Its address.
        behaviours: What it does at paths that end in some way; at all others it answers as Azure.
        requests: Method and path with query of each request, oldest first.
        tokens: The `Authorization` headers that it has got.
    """

    url: str = ""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def address(self) -> WorkspaceAddress:
        """The workspace that it serves."""
        return WorkspaceAddress(*ADDRESS)

    def answer(self, handler: Handler) -> None:
        """Answer a request."""
        self.requests.append(f"{handler.command} {handler.path}")
        self.tokens += [handler.headers["Authorization"]] * ("Authorization" in handler.headers)
        path = handler.path.partition("?")[0]
        for end, behaviour in self.behaviours.items():
            if path.endswith(end):
                behaviour(handler)
                return
        self._answer_as_azure(handler, path)

    def _answer_as_azure(self, handler: Handler, path: str) -> None:
        bodies: Mapping[str, Any] = {
            WORKSPACE: workspace(f"{self.url}/discovery"),
            "/discovery": {"api": self.url},
            f"{WORKSPACE}/jobs": {"value": [job("job-1")]},
            f"{WORKSPACE}/jobs/job-1": job("job-1"),
            ENVIRONMENT: {"id": ENVIRONMENT, "name": "1", "properties": {"image": "ubuntu"}},
            f"/history/v1.0{WORKSPACE}/runs/job-1/details": details(self.url),
        }
        if path == "/log":
            handler.blob(b"one\ntwo\n")
        elif path in bodies:
            handler.json(bodies[path])
        else:
            handler.json({"error": {"code": "NotFound", "message": f"There is no {path}."}}, status=404)


class Handler(BaseHTTPRequestHandler):
    """A request, and what can be answered."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def json(self, body: object, status: int = 200, **headers: str) -> None:
        """Answer with JSON."""
        self.answer(json.dumps(body).encode(), status, **headers)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer with bytes, as JSON unless the headers say otherwise; the names of headers with `_` for `-`."""
        named = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.raw(status, named, body)

    def blob(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer as storage."""
        self.answer(body, status, x_ms_version="2021-12-02", Content_Type="text/plain", **headers)

    def raw(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answer with these headers only."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, data: bytes) -> None:
        """Send byte by byte, until the client has had enough."""
        with suppress(OSError):
            for number in range(len(data)):
                self.wfile.write(data[number : number + 1])
                self.wfile.flush()
        self.close_connection = True

    def flood(self, piece: bytes, times: int) -> None:
        """Send the same again and again, until the client has had enough."""
        with suppress(OSError):
            for _ in range(times):
                self.wfile.write(piece)
        self.close_connection = True

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.hostile.answer(self)  # type: ignore[attr-defined]

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names are Python's

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(ca: trustme.CA) -> Iterator[HostileServer]:
    """Serve on this machine with a certificate of that CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    hostile = HostileServer(f"https://127.0.0.1:{server.server_port}")
    server.hostile = hostile  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield hostile
    server.shutdown()
    server.server_close()


def workspace(discovery_url: object) -> dict[str, Any]:
    """The workspace as Resource Manager answers it."""
    properties = {"discoveryUrl": discovery_url, "workspaceId": "00000000-0000-0000-0000-000000000002"}
    return {"id": WORKSPACE, "name": ADDRESS[2], "location": "westeurope", "properties": properties}


def job(name: str) -> dict[str, Any]:
    """A job as Resource Manager answers it (recorded)."""
    body: dict[str, Any] = json.loads((_RECORDED / "job_get_completed.json").read_text())["response_body"]
    return {**body, "id": f"{WORKSPACE}/jobs/{name}", "name": name}


def details(url: str, **more: Any) -> dict[str, Any]:
    """What run history answers."""
    return {"status": "Completed", "logFiles": {LOG: f"{url}/log?sig=SIGNATURE"}, **more}
