"""Connections that do nothing are closed; those of real clients are not hurt by it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.http.connections import ConnectionLimits
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

#: Longer than any test: what is closed in a test is closed by the other limit.
_NEVER = 10_000.0


def started(folder: Path, limits: ConnectionLimits) -> Emulator:
    clock, settings = SystemClock(), Settings()
    return Emulator(
        folder,
        runtime=SimulatedRuntime(clock, settings),
        clock=clock,
        settings=settings,
        connection_limits=limits,
    )


def connect(emulator: Emulator) -> ssl.SSLSocket:
    port = int(emulator.base_url.rpartition(":")[2])
    tls = ssl.create_default_context(cafile=str(emulator.ca_file))
    return tls.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=200), server_hostname="127.0.0.1")


def is_closed(connection: ssl.SSLSocket) -> bool:
    """Wait until the server closes a connection; what it still sends is read."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


def request(emulator: Emulator, *, headers: str = "") -> bytes:
    host = emulator.base_url.removeprefix("https://")
    return f"GET /discovery HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Emulator]:
    limits = ConnectionLimits(idle=0.3, first_request=0.3, stalled=0.3)
    with started(tmp_path / "state", limits) as emulator:
        yield emulator


def test_a_connection_that_never_asks_is_closed(impatient: Emulator) -> None:
    assert is_closed(connect(impatient))


def test_headers_that_never_end_are_not_waited_for(impatient: Emulator) -> None:
    connection = connect(impatient)
    connection.sendall(b"GET /discovery HTTP/1.1\r\nHost: x\r\n")

    assert is_closed(connection)


def test_a_body_that_never_ends_is_not_waited_for(impatient: Emulator) -> None:
    connection = connect(impatient)
    path = f"/{impatient.tenant_id}/oauth2/v2.0/token"
    host = impatient.base_url.removeprefix("https://")
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100"
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{form}\r\n\r\na=".encode())

    assert is_closed(connection)


def test_a_connection_that_idles_after_a_request_is_closed(impatient: Emulator) -> None:
    connection = connect(impatient)
    connection.sendall(request(impatient))

    assert connection.recv(12) == b"HTTP/1.1 200"
    assert is_closed(connection)


def test_too_many_connections_are_closed_and_further_ones_are_served(tmp_path: Path) -> None:
    limits = ConnectionLimits(idle=_NEVER, first_request=_NEVER, stalled=_NEVER, most=5)
    with started(tmp_path / "state", limits) as emulator:
        many = [connect(emulator) for _ in range(20)]

        assert all(is_closed(connection) for connection in many[:15])
        assert (
            requests.get(f"{emulator.base_url}/discovery", verify=str(emulator.ca_file), timeout=200).status_code == 200
        )


def test_a_client_whose_connection_was_closed_meanwhile_asks_over_another_one(impatient: Emulator) -> None:
    with requests.Session() as session:
        session.verify = str(impatient.ca_file)
        session.trust_env = False
        for _ in range(3):
            assert session.get(f"{impatient.base_url}/discovery", timeout=200).status_code == 200
            assert is_closed(connect(impatient))  # so long that the session's connection is closed too


def test_idle_connections_of_azures_sdks_are_kept_between_two_looks() -> None:
    # 30 seconds are the SDK's default between two looks at a long-running operation.
    assert ConnectionLimits().idle > 2 * 30
