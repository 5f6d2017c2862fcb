"""A tunnel to a node of a job: a websocket on one side, a socket on the other.

The websocket goes to Azure with a token for Resource Manager, as that of Microsoft's own client
(https://github.com/Azure/azure-dev/pull/7964, job_ssh_proxy.go). The token stays in this process.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import AzureError
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.exceptions import AuthenticationError, AzureMLError
from zenml_azureml.safe_text import safe_text

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
    tls, proxy = _surroundings(url)
    try:
        websocket = connect(
            url,
            ssl=tls,
            proxy=proxy,
            additional_headers={"Authorization": f"Bearer {token}"},
            logger=_NO_LOG,
            compression=None,
            open_timeout=_PATIENCE,
            max_size=None,
        )
    except InvalidStatus as error:
        raise _refusal(error, job) from None
    except (OSError, InvalidHandshake, WebSocketException) as error:
        host = urlsplit(url).hostname
        raise AzureMLError(
            f"Failed to connect to {host}, which leads to the Azure ML job `{job}`: {type(error).__name__}: {error}",
            hint="Check that the network and its proxy let websockets pass to this host.",
        ) from None
    with websocket:
        yield Tunnel(websocket)


class Tunnel:
    """An open tunnel. Two threads carry its bytes, one for each way.

    Args:
        websocket: The connection to the node.
    """

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    def serve(self, listening: socket.socket) -> None:
        """Carry the bytes of the first client of a socket, on threads of their own.

        Args:
            listening: The socket; closed after its first client, and by the caller at the latest.
        """
        threading.Thread(target=self._serve, args=(listening,), name="job-shell", daemon=True).start()

    def _serve(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except OSError:  # the caller has closed it
            return
        listening.close()
        threading.Thread(target=self._up, args=(client,), name="job-shell-up", daemon=True).start()
        with suppress(OSError, WebSocketException):
            for message in self._websocket:
                client.sendall(message if isinstance(message, bytes) else message.encode())
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _up(self, client: socket.socket) -> None:
        with suppress(OSError, WebSocketException):
            while data := client.recv(_CHUNK):
                self._websocket.send(data)
        self._websocket.close()


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
        f"Azure refuses a shell in the Azure ML job `{job}`, with the status {status}.",
        azure_message=safe_text(body).strip(),
        hint=_REFUSALS.get(status, f"To show the job: zenml-azureml jobs show {job}"),
    )
