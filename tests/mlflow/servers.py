"""A proxy before a real MLflow server, which records what MLflow sends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


@dataclass(frozen=True)
class Received:
    """A request.

    Attributes:
        method: Its method.
        path: Its path, with query.
        authorization: Its header `Authorization`; empty if it has none.
        body: Its body as JSON; empty if that is none.
    """

    method: str
    path: str
    authorization: str
    body: dict[str, Any]


class _Recording(BaseHTTPRequestHandler):
    def record(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            sent = json.loads(body or b"{}")
        except ValueError:
            sent = {}
        received = Received(self.command, self.path, self.headers.get("Authorization", ""), sent)
        self.server.received.append(received)  # type: ignore[attr-defined]
        return body

    def send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class RecordingProxy(ThreadingHTTPServer):
    """Forwards to an MLflow server.

    Attributes:
        url: Its own address.
        upstream: That of the server.
        received: What it got, oldest first.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.received: list[Received] = []
        super().__init__(("127.0.0.1", 0), _Forward)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def metrics(self, experiment: str) -> dict[str, dict[str, float]]:
        """The metrics of the runs of an experiment on the real server, by the names of the runs."""
        found = self._post("experiments/search", {"max_results": 100, "filter": f"name = '{experiment}'"})
        ids = [one["experiment_id"] for one in found.get("experiments", [])]
        runs = self._post("runs/search", {"experiment_ids": ids}).get("runs", []) if ids else []
        return {
            run["info"]["run_name"]: {one["key"]: one["value"] for one in run["data"].get("metrics", [])}
            for run in runs
        }

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = requests.post(f"{self.upstream}/api/2.0/mlflow/{path}", json=body, timeout=60).json()
        return answer


class _Forward(_Recording):
    def _forward(self) -> None:
        body = self.record()
        server: Any = self.server
        kept = ("content-type", "authorization", "accept")
        headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
        answer = requests.request(
            self.command, server.upstream + self.path, data=body, headers=headers, timeout=60, allow_redirects=False
        )
        self.send(answer.status_code, answer.headers.get("Content-Type", "text/plain"), answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - the names are Python's


@contextmanager
def recording_proxy(upstream: str) -> Iterator[RecordingProxy]:
    """Serve before an MLflow server."""
    with RecordingProxy(upstream) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
