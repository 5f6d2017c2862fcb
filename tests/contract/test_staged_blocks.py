"""Blocks that come in another order than that of their list, that come twice, or that never come to their end."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient

from tests.conftest import point_clients_at
from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator

#: Of unlike sizes; the last is the shortest, as in uploads.
PARTS = [os.urandom(size) for size in (300_000, 300_000, 1_000_000, 300_000, 300_000, 17)]
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def blob(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobClient]:
    with _client(arm, monkeypatch) as made:
        yield made


@pytest.mark.parametrize(
    "order",
    [(0, 1, 2, 3, 4, 5), (1, 0, 2, 3, 4, 5), (0, 1, 2, 5, 3, 4), (2, 1, 0, 3, 4, 5), (5, 4, 3, 2, 1, 0)],
    ids=["as listed", "first two swapped", "last too early", "of unlike sizes swapped", "backwards"],
)
def test_blocks_have_the_order_of_their_list(blob: BlobClient, order: tuple[int, ...]) -> None:
    for number in order:
        blob.stage_block(str(number), PARTS[number])

    _commit(blob, *range(len(PARTS)))

    assert blob.download_blob().readall() == b"".join(PARTS)
    assert [block.size for block in blob.get_block_list("all")[0]] == [len(part) for part in PARTS]


def test_blocks_that_came_as_listed_are_not_written_again(blob: BlobClient, emulator: Emulator) -> None:
    for number, part in enumerate(PARTS):
        blob.stage_block(str(number), part)
    before = {path.stat().st_ino for path in _files(emulator)}

    _commit(blob, *range(len(PARTS)))

    (made,) = (path for path in _files(emulator) if path.name == "large")
    assert made.stat().st_ino in before
    assert blob.get_block_list("uncommitted")[1] == []


def test_of_two_blocks_with_one_id_the_later_counts(blob: BlobClient) -> None:
    for number, part in ((0, PARTS[0]), (1, PARTS[1]), (0, PARTS[2])):
        blob.stage_block(str(number), part)

    _commit(blob, 0, 1)

    assert blob.download_blob().readall() == PARTS[2] + PARTS[1]


def test_a_block_may_be_listed_twice_or_not_at_all(blob: BlobClient) -> None:
    for number, part in enumerate(PARTS[:3]):
        blob.stage_block(str(number), part)

    _commit(blob, 1, 0, 1)

    assert blob.download_blob().readall() == PARTS[1] + PARTS[0] + PARTS[1]


def test_a_block_that_breaks_off_is_none_and_can_be_sent_again(blob: BlobClient, arm: Arm) -> None:
    blob.stage_block("0", PARTS[0])
    with _upload(arm, blob, "1", f"Content-Length: {len(PARTS[1])}") as connection:
        connection.sendall(PARTS[1][:1000])
    with pytest.raises(HttpResponseError, match="InvalidBlockList"):
        _commit(blob, 0, 1)
    blob.stage_block("1", PARTS[1])

    _commit(blob, 0, 1)

    assert blob.download_blob().readall() == PARTS[0] + PARTS[1]


def test_a_block_on_its_way_does_not_get_into_the_blob_that_is_made_meanwhile(blob: BlobClient, arm: Arm) -> None:
    blob.stage_block("0", PARTS[0])
    with _upload(arm, blob, "1", f"Content-Length: {len(PARTS[1])}") as connection:
        connection.sendall(PARTS[1][:1000])
        _commit(blob, 0)

        connection.sendall(PARTS[1][1000:])

        assert connection.recv(12) == b"HTTP/1.1 503"
    assert blob.download_blob().readall() == PARTS[0]
    blob.stage_block("1", PARTS[1])
    _commit(blob, 0, 1)
    assert blob.download_blob().readall() == PARTS[0] + PARTS[1]


@pytest.mark.parametrize(
    ("header", "status"), [("Transfer-Encoding: chunked", b"411"), (f"Content-Length: {2**40}", b"413")]
)
def test_a_block_says_how_long_it_is(blob: BlobClient, arm: Arm, header: str, status: bytes) -> None:
    with _upload(arm, blob, "1", header) as connection:
        assert connection.recv(12) == b"HTTP/1.1 " + status


def test_blocks_are_there_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 0):
        with Emulator(tmp_path, keep_state=True) as one, _client(Arm(one), monkeypatch) as blob:
            blob.stage_block(str(number), PARTS[number])
    with Emulator(tmp_path, keep_state=True) as last, _client(Arm(last), monkeypatch) as blob:
        _commit(blob, 0, 1)

        assert blob.download_blob().readall() == PARTS[0] + PARTS[1]


def _client(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> BlobClient:
    point_clients_at(arm.emulator, monkeypatch)
    store = arm.call("GET", "datastores/workspaceblobstore").body["properties"]
    key = str(arm.call("POST", "datastores/workspaceblobstore/listSecrets").body["key"])
    address = f"https://{store['accountName']}.blob.core.windows.net"
    return BlobClient(address, store["containerName"], "large", credential=key, retry_total=0)


def _commit(blob: BlobClient, *numbers: int) -> None:
    blob.commit_block_list([BlobBlock(str(number)) for number in numbers])


def _files(emulator: Emulator) -> list[Path]:
    return [path for path in (emulator.context.folder / "datastores").rglob("*") if path.is_file()]


@contextmanager
def _upload(arm: Arm, blob: BlobClient, block: str, header: str) -> Iterator[ssl.SSLSocket]:
    """Begin to send a block, for the length of a `with`; the emulator waits for its content then, or has refused it."""
    target = urlsplit(blob.url)
    block_id = base64.b64encode(block.encode()).decode().replace("=", "%3D")
    token = arm.token(audience="https://storage.azure.com")
    lines = (
        f"PUT {target.path}?comp=block&blockid={block_id} HTTP/1.1",
        *(f"Host: {target.netloc}", f"Authorization: Bearer {token}", "x-ms-version: 2021-12-02"),
        *(header, "Expect: 100-continue"),
    )
    tls = ssl.create_default_context(cafile=str(arm.emulator.ca_file))
    with (
        socket.create_connection((str(target.hostname), target.port or 443), timeout=20) as plain,
        tls.wrap_socket(plain, server_hostname=target.hostname) as connection,
    ):
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        assert connection.recv(len(_GO_ON)) == _GO_ON
        yield connection
