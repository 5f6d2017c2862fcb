"""A tunnel to a node of a job: a websocket on one side, a socket on the other.

The websocket goes to Azure with a token for Resource Manager, as that of Microsoft's own client
(https://github.com/Azure/azure-dev/pull/7964, job_ssh_proxy.go). The token stays in this process.

One thread does all of it, in an event loop: OpenSSL lets no two threads use a connection at once, which the client of
`websockets.sync` does. A tunnel through it stayed without an answer once in about 150 times.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import AzureError
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.exceptions import AuthenticationError, AzureMLError
from zenml_azureml.safe_text import safe_text

T = TypeVar("T")

_CHUNK: Final = 64 * 1024
#: Seconds for the handshake: the first connection to a container that has just started takes long.
_PATIENCE: Final = 60.0
#: Characters of an answer that are shown.
_SHOWN: Final = 300

#: Without it, the client logs its headers, with the token, for those who log all that is logged.
_NO_LOG: Final = logging.Logger("no log", logging.CRITICAL + 1)

_REFUSALS: Final = {
    401: "Azure does not accept the token.",
    403: "Only the owner of a job can open its services, which is the identity that has submitted it.",
    404: "The job or its service has ended, or the service is not ready.",
}


@contextmanager
def open_tunnel(connection: WorkspaceConnection, url: str, job: str) -> Iterator[Tunnel]:
    """Connect to a node for the length of a `with`.

    Args:
        connection: The workspace.
        url: The websocket's URL; see `services.tunnel_url`.
        job: Name of the job, for messages.

    Raises:
        AzureMLError: If Azure refuses, or cannot be reached.
    """
    try:
        token = connection.credential.get_token(connection.cloud.token_scope).token
    except AzureError as error:
        raise to_azureml_error(f"open a shell in the job `{job}`", error, connection.address) from error
    with _Loop() as loop:
        try:
            websocket = loop.run(_connect(url, token))
        except InvalidStatus as error:
            raise _refusal(error, job) from None
        except (OSError, InvalidHandshake, WebSocketException) as error:
            host, what = urlsplit(url).hostname, f"{type(error).__name__}: {error}"
            raise AzureMLError(
                f"Failed to connect to {host}, which leads to the Azure ML job `{job}`: {what}",
                hint="Check that the network and its proxy let websockets pass to this host.",
            ) from None
        try:
            yield Tunnel(websocket, loop)
        finally:
            with suppress(OSError, WebSocketException):
                loop.run(websocket.close())


class Tunnel:
    """An open tunnel.

    Args:
        websocket: The connection to the node.
        loop: The loop of the connection.
    """

    def __init__(self, websocket: ClientConnection, loop: _Loop) -> None:
        self._websocket = websocket
        self._loop = loop

    def serve(self, listening: socket.socket) -> None:
        """Carry the bytes of the first client of a socket, in the background.

        Args:
            listening: The socket; closed after its first client, and by the caller at the latest.
        """
        self._loop.start(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        with listening:
            client, _ = await asyncio.get_running_loop().sock_accept(listening)
        reader, writer = await asyncio.open_unix_connection(sock=client)
        ways = {asyncio.ensure_future(self._up(reader)), asyncio.ensure_future(self._down(writer))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            await self._websocket.close()

    async def _down(self, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, WebSocketException):
            async for message in self._websocket:
                writer.write(message if isinstance(message, bytes) else message.encode())
                await writer.drain()

    async def _up(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, WebSocketException):
            while data := await reader.read(_CHUNK):
                await self._websocket.send(data)


class _Loop:
    """An event loop on a thread of its own, for the length of a `with`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="job-shell", daemon=True)

    def __enter__(self) -> _Loop:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work in the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin some work in the loop."""
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()


async def _connect(url: str, token: str) -> ClientConnection:
    tls, proxy = _surroundings(url)
    return await connect(
        url,
        ssl=tls,
        proxy=proxy,
        additional_headers={"Authorization": f"Bearer {token}"},
        logger=_NO_LOG,
        compression=None,
        open_timeout=_PATIENCE,
        max_size=None,
    )


def _surroundings(url: str) -> tuple[ssl.SSLContext, str | None]:
    """Return trust and proxy for a URL, as all other requests of the package have them."""
    as_request = f"https{url.removeprefix('wss')}"
    found = requests.Session().merge_environment_settings(as_request, {}, None, None, None)
    bundle = found["verify"] if isinstance(found["verify"], str) else DEFAULT_CA_BUNDLE_PATH
    tls = ssl.create_default_context(
        cafile=None if Path(bundle).is_dir() else bundle, capath=bundle if Path(bundle).is_dir() else None
    )
    return tls, found["proxies"].get("https") or found["proxies"].get("all")


def _refusal(error: InvalidStatus, job: str) -> AzureMLError:
    status = error.response.status_code
    kind = AuthenticationError if status == 401 else AzureMLError
    body = (error.response.body or b"").decode(errors="replace")[:_SHOWN]
    return kind(
        f"Azure refused to open a shell in the Azure ML job `{job}`, with status {status}.",
        azure_message=safe_text(body).strip(),
        hint=_REFUSALS.get(status, f"To show the job: zenml-azureml jobs show {job}"),
    )
