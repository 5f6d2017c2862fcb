"""A server that stores the blocks of one blob over TLS and gives them back, and does nothing else.

The floor for a storage service on this machine: what a client takes with it is the cost of the client, of TLS, and of
bytes on a disk. Runs as a program of its own, `python -m benchmarks.bare_storage FOLDER CERTIFICATE`, which prints its
port.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

_BUFFER = 2**20
_HEADERS = 'x-ms-version: 2021-12-02\r\nETag: "0x1"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n'


class _Blob:
    """Blocks as files, in the order of their list."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blocks: list[tuple[Path, int]] = []
        self.size = 0

    def block(self, name: str) -> Path:
        return self._folder / re.sub(r"\W", "-", name)

    def commit(self, listed: bytes) -> None:
        files = [self.block(name) for name in re.findall(r"<Latest>([^<]+)</Latest>", listed.decode())]
        self._blocks = [(file, file.stat().st_size) for file in files]
        self.size = sum(size for _, size in self._blocks)

    def parts(self, first: int, last: int) -> Iterator[bytes]:
        begin = 0
        for file, size in self._blocks:
            low, high = max(first - begin, 0), min(last + 1 - begin, size)
            begin += size
            if low < high:
                with file.open("rb") as content:
                    content.seek(low)
                    yield content.read(high - low)


def _serve(connection: ssl.SSLSocket, blob: _Blob) -> None:
    with connection, connection.makefile("rb", _BUFFER) as stream:
        while line := stream.readline():
            method, target, _ = line.decode().split(" ", 2)
            headers = {}
            while header := stream.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            left = int(headers.get("content-length", 0))
            if "expect" in headers:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if method == "PUT":
                if "comp=blocklist" in target:
                    blob.commit(stream.read(left))
                else:
                    found = re.search(r"blockid=([^&]+)", target)
                    name = found[1].replace("%3D", "=") if found else "whole"
                    with blob.block(name).open("wb") as file:
                        while left:
                            left -= file.write(stream.read(min(left, _BUFFER)))
                    if not found:
                        blob.commit(b"<Latest>whole</Latest>")
                connection.sendall(f"HTTP/1.1 201 Created\r\n{_HEADERS}Content-Length: 0\r\n\r\n".encode())
                continue
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("x-ms-range") or headers.get("range", ""))
            first, last = (int(asked[1]), min(int(asked[2]), blob.size - 1)) if asked else (0, blob.size - 1)
            head = f"HTTP/1.1 206 Partial Content\r\n{_HEADERS}Content-Range: bytes {first}-{last}/{blob.size}\r\n"
            connection.sendall(
                f"{head}x-ms-blob-type: BlockBlob\r\nContent-Length: {last - first + 1}\r\n\r\n".encode()
            )
            for part in blob.parts(first, last):
                connection.sendall(part)


def main() -> None:
    """Serve until stdin ends."""
    folder, certificate = (Path(word) for word in sys.argv[1:])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(certificate)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    blob, listening = _Blob(folder), socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = tls.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True)
            threading.Thread(target=_serve, args=(wrapped, blob), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    sys.stdin.read()


@contextmanager
def bare_storage(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run it for the length of a `with`; its URL, and the certificate to trust."""
    folder.mkdir()
    certificate = folder / "certificate.pem"
    command = [sys.executable, "-m", "benchmarks.bare_storage", str(folder), str(certificate)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield f"https://127.0.0.1:{port}/account", certificate
    finally:
        process.communicate()


if __name__ == "__main__":
    main()
