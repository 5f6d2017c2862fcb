"""Orphans of a real ZenML server, and of one whose proxy answers in its place."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment

from tests.e2e.conftest import Project, azure_variables, zenml_variables
from tests.e2e.killed import azureml, jobs_of
from tests.e2e.zenml_server import zenml_server
from zenml_azureml.emulator import Emulator

pytestmark = pytest.mark.long

REGISTER = """
subscription, group, workspace = __import__("sys").argv[1:]
address = {"subscription_id": subscription, "resource_group": group, "workspace_name": workspace}
Client().create_stack_component("azureml", "azureml", "step_operator", address)
"""


class Proxy(ThreadingHTTPServer):
    """Forwards to a server, but for what it has lost: to that it says 404, as a proxy does.

    Attributes:
        url: Where it is reached.
        lost: How the paths begin that it does not forward.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.lost: tuple[str, ...] = ()
        super().__init__(("127.0.0.1", 0), _Forward)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Forward(BaseHTTPRequestHandler):
    server: Proxy

    def _forward(self) -> None:
        if self.path.startswith(self.server.lost):
            self._answer(404, {"Content-Type": "text/plain"}, b"404 page not found")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = requests.request(
            self.command, self.server.upstream + self.path, data=body, headers=headers, timeout=60
        )
        kept = ("Content-Type", "WWW-Authenticate")
        self._answer(
            answer.status_code, {name: answer.headers[name] for name in kept if name in answer.headers}, answer.content
        )

    do_GET = do_POST = do_PUT = do_DELETE = _forward  # noqa: N815 - the names are Python's

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


@contextmanager
def proxy_of(upstream: str) -> Iterator[Proxy]:
    with Proxy(upstream) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()


def test_a_proxys_404_is_not_taken_for_a_step_run_that_is_gone(
    tmp_path: Path, emulator: Emulator, ml_client: MLClient
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    emulator.context.settings.simulated_seconds = 3600
    with zenml_server(tmp_path / "server", Path(sys.executable)) as server, proxy_of(server.url) as proxy:
        variables = {**zenml_variables(tmp_path), **server.client_variables(), **azure_variables(emulator)}
        project = Project(folder, {**variables, "ZENML_STORE_URL": proxy.url})
        workspace = emulator.context.store.workspaces[0]
        project.succeed(REGISTER, workspace.subscription_id, workspace.resource_group, workspace.name)
        server_id = requests.get(f"{server.url}/api/v1/info", timeout=30).json()["id"]
        tags = {"zenml_server_id": server_id, "zenml_step_run_id": str(uuid4())}
        ml_client.jobs.create_or_update(
            command(name="left", command="true", environment=Environment(image="any"), tags=tags)
        )
        (job,) = jobs_of(emulator)

        assert judgement(project) == (True, "its step run is gone")

        proxy.lost = ("/api/v1/steps", "/api/v1/settings")
        assert judgement(project) == (None, "server cannot be reached")
        done = azureml(project, "jobs", "cancel", "--orphans", "--operator", "azureml", "--yes")

        assert (done.returncode, done.stdout) == (0, "No orphans.\n")
        assert job.status == "Running"


def judgement(project: Project) -> tuple[bool | None, str]:
    """What `jobs list` says of the only job."""
    listed = azureml(project, "jobs", "list", "--operator", "azureml", "--json")
    assert listed.returncode == 0, listed.stderr
    (told,) = json.loads(listed.stdout)
    return told["orphan"], told["reason"]
