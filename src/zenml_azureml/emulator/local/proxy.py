"""A CONNECT proxy that leads Azure's public hosts to the emulator, for clients that no variable can redirect.

ZenML's Azure service connector is such a client. The proxy sees nothing of what is said: a client's TLS session is
with the emulator, whose certificate then names those hosts too. Every other host is reached as without the proxy,
so that a whole shell can have it in HTTPS_PROXY.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from zenml_azureml.emulator.http.peers import Peers
from zenml_azureml.emulator.services.entra.clouds import AZURE_HOSTS

_PATIENCE_SECONDS = 20
_CHUNK = 64 * 1024
#: Tunnels at a time.
_MOST_TUNNELS = 500
#: Seconds after which a tunnel ends in which nothing comes either way.
IDLE_SECONDS = 3600.0
_REQUEST = re.compile(rb"CONNECT (?P<host>\[[0-9a-fA-F:.]+\]|[^\s:]+):(?P<port>\d{1,5}) HTTP/1\.[01]\r\n")

_AUTHORIZATION = re.compile(rb"\r\nproxy-authorization:[ \t]*basic[ \t]+([^\s]+)[ \t]*\r\n", re.IGNORECASE)

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _RefusalError(Exception):
    """A refused tunnel: code and message of the status line."""


class Proxy:
    """The proxy, on a port of its own that is taken at once.

    Args:
        emulator: Address and port that the emulator listens on; the proxy listens on the same address.
        port: To listen on; 0 takes a free one.
        environ: The variables that say how other hosts are reached: HTTPS_PROXY and NO_PROXY.
        key: Password that users who cannot be looked up must send.
        peers: Decides which users may connect.
        idle: Seconds after which a tunnel ends in which nothing comes either way.

    Attributes:
        url: `http://127.0.0.1:PORT`, for HTTPS_PROXY.

    Raises:
        OSError: If the port is taken.
    """

    def __init__(
        self,
        emulator: tuple[str, int],
        port: int,
        environ: Mapping[str, str],
        *,
        key: str,
        peers: Peers,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._idle_seconds = idle
        self._emulator = emulator
        self._key = key
        self._peers = peers
        # In the order in which curl and requests read them.
        self._upstream = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
        self._directly = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        self._socket = socket.create_server((emulator[0], port))
        self.url = f"http://{emulator[0]}:{self._socket.getsockname()[1]}"

    @property
    def url_with_key(self) -> str:
        """The URL with the password, for users who cannot be looked up."""
        return self.url.replace("://", f"://emulator:{self._key}@", 1)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serve on the running event loop for the length of an `async with`; then end every tunnel."""
        tunnels: set[asyncio.Task[None]] = set()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(tunnels) >= _MOST_TUNNELS:
                writer.close()
                return
            tunnel = asyncio.get_running_loop().create_task(self._tunnel(reader, writer))
            tunnels.add(tunnel)
            tunnel.add_done_callback(tunnels.discard)

        server = await asyncio.start_server(begin, sock=self._socket)
        try:
            yield
        finally:
            server.close()
            for tunnel in tuple(tunnels):
                tunnel.cancel()
            await asyncio.gather(*tunnels, return_exceptions=True)

    def close(self) -> None:
        """Release the port of a proxy that never served."""
        self._socket.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):  # one of the two has gone
                names = (writer.get_extra_info("peername"), writer.get_extra_info("sockname"))
                if (refusal := self._peers.refusal(*names)) is not None:
                    raise _RefusalError(f"403 {refusal}")
                remote_reader, remote_writer = await self._reached(reader, needs_key=not self._peers.is_found(*names))
                try:
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await self._copy_both(_Tunnel(reader, remote_writer), _Tunnel(remote_reader, writer))
                finally:
                    remote_writer.close()
        except _RefusalError as refusal:
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode("ascii", "replace"))
        finally:
            writer.close()

    async def _copy_both(self, *ways: _Tunnel) -> None:
        """Copy both ways until both have ended, or nothing comes either way for too long."""
        copies = [asyncio.ensure_future(way.copy()) for way in ways]
        try:
            while waiting := [copy for copy in copies if not copy.done()]:
                before = [way.copied for way in ways]
                done, _ = await asyncio.wait(waiting, timeout=self._idle_seconds, return_when=asyncio.FIRST_COMPLETED)
                for copy in done:
                    copy.result()
                if not done and before == [way.copied for way in ways]:
                    return
        finally:
            for copy in copies:
                copy.cancel()

    async def _reached(self, client: asyncio.StreamReader, *, needs_key: bool) -> _Streams:
        """Connect to the host that a client asks for: to the emulator, if that answers for it."""
        head = await _head_of(client)
        host, port = _asked_for(head)
        if needs_key and not _has_key(head, self._key):
            raise _RefusalError(
                "407 This proxy needs the password that `zenml-azureml emulator env` sets in HTTPS_PROXY\r\n"
                'Proxy-Authenticate: Basic realm="emulator"'
            )
        if port == 443 and any(fnmatchcase(host.lower(), pattern) for pattern in AZURE_HOSTS):
            return await asyncio.open_connection(*self._emulator)
        upstream = self._upstream
        from requests.utils import should_bypass_proxies  # slow to import, and most emulators have no proxy

        if upstream and should_bypass_proxies(f"https://{host}:{port}", self._directly):
            upstream = None
        reached = _through(upstream, host, port) if upstream else asyncio.open_connection(host, port)
        try:
            return await asyncio.wait_for(reached, _PATIENCE_SECONDS)
        except (OSError, EOFError, OverflowError, UnicodeError, asyncio.TimeoutError) as error:
            # The message is in the status line too: many clients show nothing else of a refusal.
            raise _RefusalError(f"502 Cannot reach {host}:{port} ({error!r})") from error


async def _head_of(client: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(client.readuntil(b"\r\n\r\n"), _PATIENCE_SECONDS)
    except (asyncio.LimitOverrunError, asyncio.TimeoutError) as error:
        raise _RefusalError("400 Bad Request") from error


def _has_key(head: bytes, key: str) -> bool:
    """True if a request has the password in its headers, whatever the name of its user is."""
    found = _AUTHORIZATION.search(head)
    try:
        password = base64.b64decode(found[1]).partition(b":")[2] if found else b""
    except ValueError:
        return False
    return hmac.compare_digest(password, key.encode())


def _asked_for(head: bytes) -> tuple[str, int]:
    asked = _REQUEST.match(head)
    if asked is None:
        raise _RefusalError("405 This proxy only makes tunnels: it is for HTTPS_PROXY, not for HTTP_PROXY")
    return asked["host"].decode("ascii", "replace").strip("[]"), int(asked["port"])


async def _through(upstream: str, host: str, port: int) -> _Streams:
    """Return a connection to a host through another proxy."""
    address = urlsplit(upstream if "//" in upstream else f"http://{upstream}")
    if address.scheme != "http" or address.username is not None:
        # All users who can reach the loopback address of this machine could use the password.
        raise _RefusalError(f"502 Cannot reach {host} - the shell's own HTTPS_PROXY must be http:// without a password")
    reader, writer = await asyncio.open_connection(address.hostname, address.port or 80)
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("ascii", "replace")
    if status.split(" ")[1:2] != ["200"]:
        writer.close()
        raise _RefusalError(f"502 The shell's own proxy says: {status}")
    return reader, writer


@dataclass
class _Tunnel:
    """One way of a tunnel.

    Attributes:
        reader: Source of the bytes.
        writer: Destination of the bytes.
        copied: Bytes so far.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    copied: int = 0

    async def copy(self) -> None:
        """Hand on what comes, up to its end, which is handed on too."""
        while data := await self.reader.read(_CHUNK):
            self.copied += len(data)
            self.writer.write(data)
            await self.writer.drain()
        if self.writer.can_write_eof():
            self.writer.write_eof()
