"""A proxy of a company: it decrypts what passes, and removes headers that it does not know."""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import trustme

#: Headers of one connection, and those that `requests` has already interpreted.
_NOT_FORWARDED = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}


@contextmanager
def stripping_proxy(ca: trustme.CA, trusted: Path) -> Iterator[StrippingProxy]:
    """Serve as a proxy for HTTPS.

    Args:
        ca: Signs the certificate that clients see.
        trusted: CA of the servers behind the proxy.
    """
    with StrippingProxy(ca, trusted) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()


class StrippingProxy(ThreadingHTTPServer):
    """Forwards requests; answers lose their `x-ms-*` headers.

    Attributes:
        url: Value for `HTTPS_PROXY`.
        stripped: Paths of the answers that had such headers.
        own_page: Status of the page with which it answers the next request itself; 0 to forward it.
    """

    daemon_threads = True

    def __init__(self, ca: trustme.CA, trusted: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self.context)
        self.stripped: list[str] = []
        self.own_page = 0
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(trusted)
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Tunnel(BaseHTTPRequestHandler):
    """Answers CONNECT, and serves what comes through the tunnel."""

    server: StrippingProxy

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        behind = f"https://{self.path}"
        with suppress(OSError), self.server.context.wrap_socket(self.connection, server_side=True) as inside:
            _Inside(inside, self.client_address, self.server, behind)
        self.close_connection = True

    def log_message(self, *_: object) -> None: ...


class _Inside(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StrippingProxy

    def __init__(self, connection: ssl.SSLSocket, client: tuple[str, int], proxy: StrippingProxy, behind: str) -> None:
        self._behind = behind
        super().__init__(connection, client, proxy)

    def _forward(self) -> None:
        if status := self.server.own_page:
            self.server.own_page = 0
            self._answer(status, {"Content-Type": "text/html"}, b"<p>You are not logged in.</p>")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answer = self.server.session.request(
            self.command, self._behind + self.path, data=body, headers=headers, allow_redirects=False, timeout=60
        )
        self._answer(answer.status_code, answer.headers, answer.content)

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower().startswith("x-ms-"):
                self.server.stripped.append(self.path.partition("?")[0])
            elif name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward  # noqa: N815 - the names are Python's

    def log_message(self, *_: object) -> None: ...


def bundle_of(ca: trustme.CA, folder: Path, *others: Path) -> Path:
    """Return a file with the certificates of that CA and others."""
    with tempfile.NamedTemporaryFile("wb", dir=folder, suffix=".pem", delete=False) as bundle:
        bundle.write(ca.cert_pem.bytes())
        for other in others:
            bundle.write(other.read_bytes())
    return Path(bundle.name)
