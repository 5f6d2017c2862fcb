"""The tunnel to a job's node: what is said if a host refuses it, and where the token is not."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.sync.server import ServerConnection, serve

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
    assert f"Azure refused to open a shell in the Azure ML job `zenml-1`, with status {status}." in str(error)
    assert "Azure: not for" in str(error)
    assert "\x1b" not in str(error)
    assert words in error.hint
    (authorization,) = seen
    token = authorization.removeprefix("Bearer ")
    assert token not in str(error) + caplog.text


@contextmanager
def echo() -> Iterator[str]:
    """A node whose end of the tunnel sends everything back; its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("127.0.0.1").configure_cert(context)

    def answer(websocket: ServerConnection) -> None:
        for message in websocket:
            websocket.send(message)

    with serve(answer, "127.0.0.1", 0, ssl=context) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"wss://127.0.0.1:{server.socket.getsockname()[1]}/nbip/v1.0/ws-tcp"


def test_the_bytes_of_a_connection_go_both_ways_until_it_ends(trusted: World, tmp_path: Path) -> None:
    sent = os.urandom(3_000_000)
    with echo() as url, open_tunnel(trusted.connection, url, "zenml-1") as tunnel, listening(tmp_path) as (own, way):
        tunnel.serve(own)
        with way() as client:
            sending = threading.Thread(target=client.sendall, args=(sent,))
            sending.start()
            received = b""
            while len(received) < len(sent):
                received += client.recv(65536)
            sending.join()
            client.shutdown(socket.SHUT_WR)
            end = client.recv(1)

    assert received == sent
    assert end == b"", "the end of the client ends the tunnel"


def test_one_thread_alone_uses_the_tls_of_a_tunnel(
    trusted: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL lets no two threads use a connection: a request, or what a user has typed, would be lost at times."""
    threads: dict[ssl.SSLContext, set[int]] = {}
    mine: list[ssl.SSLContext] = []
    for kind in (ssl.SSLSocket, ssl.SSLObject):
        for name in ("read", "write", "recv", "send"):
            if hasattr(kind, name):
                monkeypatch.setattr(kind, name, noting(getattr(kind, name), threads))
    create = ssl.create_default_context

    def noted(**options: Any) -> ssl.SSLContext:
        mine.append(create(**options))
        return mine[-1]

    monkeypatch.setattr(ssl, "create_default_context", noted)
    with echo() as url, open_tunnel(trusted.connection, url, "zenml-1") as tunnel, listening(tmp_path) as (own, way):
        tunnel.serve(own)
        with way() as client:
            client.sendall(b"typed")
            assert client.recv(5) == b"typed"

    assert len(threads[mine[-1]]) == 1


def noting(method: Callable[..., Any], threads: dict[ssl.SSLContext, set[int]]) -> Callable[..., Any]:
    """The method of a TLS connection, which notes the threads that call it."""

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        threads.setdefault(self.context, set()).add(threading.get_ident())
        return method(self, *arguments, **options)

    return call


@contextmanager
def listening(folder: Path) -> Iterator[tuple[socket.socket, Callable[[], socket.socket]]]:
    """A socket that listens, and what connects to it."""
    address = str(folder / "tunnel")

    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(address)
        return client

    with socket.socket(socket.AF_UNIX) as own:
        own.bind(address)
        own.listen(1)
        yield own, connect


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
