"""A server that answers as a ZenML server might, or as something else does that stands in its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

STEP_RUN = "11111111-1111-4111-8111-111111111111"
RUN = "22222222-2222-4222-8222-222222222222"
PARENT = "33333333-3333-4333-8333-333333333333"


def entity(entity_id: str, status: str, **body: Any) -> dict[str, Any]:
    """A step run or a run as ZenML 0.98 answers it with `hydrate=false`."""
    return {"id": entity_id, "name": "train", "body": {"status": status, **body}, "metadata": None}


def page(*items: Mapping[str, Any]) -> dict[str, Any]:
    """A page of them."""
    return {"index": 1, "max_size": 1, "total_pages": 1, "total": len(items), "items": list(items[:1])}


class Answering:
    """A server and what it was asked.

    Attributes:
        url: Its address.
        answers: What it answers, by path below `/api/v1/`: status and body; a text is sent as HTML.
        asked: Method, path, query and headers of the requests so far.
        posted: Path below `/api/v1/` and JSON body of what was posted.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str, dict[str, str]]] = []
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.arrived = threading.Condition()

    def step_is(self, status: str, run: str = "running") -> None:
        """Set what it answers on the step run and its run."""
        self.answers[f"steps/{STEP_RUN}"] = 200, entity(STEP_RUN, status)
        self.answers[f"runs/{RUN}"] = 200, entity(RUN, run, project_id="p")

    def wait_for(self, number: int) -> None:
        """Wait until it was asked so many times."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.asked) >= number, timeout=60)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a job whose ZenML server this is."""
        return {
            "ZENML_STORE_URL": self.url,
            "ZENML_STORE_API_TOKEN": "token",
            "ZENML_AZUREML_JOB_STOP_CHECK_SECONDS": "0.2",
            "ZENML_AZUREML_JOB_STEP_RUN_ID": STEP_RUN,
            "ZENML_AZUREML_JOB_RUN_ID": RUN,
            **more,
        }


@contextmanager
def answering() -> Iterator[Answering]:
    """A server for the length of a `with`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.partition("/api/v1/")[2]
            with server.arrived:
                server.asked.append(("GET", parts.path, parts.query, dict(self.headers)))
                server.arrived.notify_all()
            status, body = server.answers.get(path, (404, {"detail": "not found"}))
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status in (302, 307):
                self.send_header("Location", body if isinstance(body, str) else "")
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            path = self.path.partition("/api/v1/")[2]
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.arrived:
                server.posted.append((path, body))
                server.asked.append(("POST", self.path, "", dict(self.headers)))
                server.arrived.notify_all()
            status, answer = server.answers.get(path, (200, None))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        server = Answering(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            httpd.shutdown()
            thread.join()
