"""The tunnel to a job's node: what is said if a host refuses it, and where the token is not."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.azure.compute_world import World
from zenml_azureml.azure.jobs.tunnel import open_tunnel
from zenml_azureml.exceptions import AuthenticationError, AzureMLError

CA = trustme.CA()


class _Refusal(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, status: int, seen: list[str], *arguments: Any) -> None:
        self._status, self._seen = status, seen
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._seen.append(self.headers["Authorization"])
        body = b"not for \x1b[2J you"
        self.send_response(self._status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def host(status: int, seen: list[str]) -> Iterator[str]:
    """A host that answers each request with that status; its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1").configure_cert(context)
    server = HTTPServer(("127.0.0.1", 0), partial(_Refusal, status, seen))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"wss://127.0.0.1:{server.server_port}/nbip/v1.0/ws-tcp"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def trusted(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The emulated workspace, by clients that trust the hosts of these tests too."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(world.emulator.ca_file.read_bytes() + CA.cert_pem.bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    return world


def refused(world: World, url: str) -> AzureMLError:
    with pytest.raises(AzureMLError) as raised, open_tunnel(world.connection, url, "zenml-1"):
        pass
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AuthenticationError, "Azure does not accept the token"),
        (403, AzureMLError, "Only the owner of a job can open its services"),
        (404, AzureMLError, "The job or its service has ended, or the service is not ready"),
        (500, AzureMLError, "zenml-azureml jobs show zenml-1"),
        (200, AzureMLError, "zenml-azureml jobs show zenml-1"),
    ],
)
def test_a_refusal_has_its_status_azures_message_and_the_next_step(
    trusted: World, caplog: pytest.LogCaptureFixture, status: int, kind: type[AzureMLError], words: str
) -> None:
    seen: list[str] = []
    caplog.set_level(logging.DEBUG)
    with host(status, seen) as url:
        error = refused(trusted, url)

    assert type(error) is kind
    assert f"Azure refuses a shell in the Azure ML job `zenml-1`, with the status {status}." in str(error)
    assert "Azure: not for" in str(error)
    assert "\x1b" not in str(error)
    assert words in error.hint
    (authorization,) = seen
    token = authorization.removeprefix("Bearer ")
    assert token not in str(error) + caplog.text


def test_a_host_that_is_not_reached_is_named(trusted: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = refused(trusted, f"wss://127.0.0.1:{free.getsockname()[1]}/")

    assert "Failed to connect to 127.0.0.1, which leads to the Azure ML job `zenml-1`: ConnectionRefused" in str(error)


def test_a_host_that_nothing_certifies_gets_no_token(world: World) -> None:
    seen: list[str] = []
    with host(403, seen) as url:
        error = refused(world, url)

    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert not seen
