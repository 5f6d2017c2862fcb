"""Access to the emulator: users of this machine, pages in browsers, and the key of the emulator's own interface.

It is the first check that a request passes, whatever it asks for. Tokens, signatures and keys of the emulated
services are checked by those.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from weakref import WeakKeyDictionary

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.peers import Peers
from zenml_azureml.emulator.local.address import LOOPBACK, LOOPBACK_NAMES, Advertised
from zenml_azureml.emulator.local.keys import is_same_secret
from zenml_azureml.emulator.services.entra.clouds import AZURE_HOSTS

#: Begins the paths of the emulator's own interface.
OWN_PATHS = "/_emulator"

#: Begins the paths of the page, whose handlers let in browsers with a session.
PAGE_PATHS = f"{OWN_PATHS}/page"

#: Values of a browser for requests by a page of another origin, or without an origin.
_FOREIGN_SITES = ("cross-site", "same-site")

#: Begins the paths of links to Studio, which lead to the page.
_STUDIO_PATHS = "/runs/"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AccessError(Exception):
    """A request that is refused before any other check.

    Attributes:
        status: HTTP status.
        message: One or two sentences: what is refused, and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class AnsweredHosts:
    """The hosts of its own that an emulator answers for, so that no page of a browser reaches it by another name.

    Attributes:
        here: The host that it listens on.
        advertised: The address that it advertises, if that is another one.
        port: The port that it listens on. Its key vaults have others, and advertise those.
    """

    here: str = LOOPBACK
    advertised: Advertised | None = None
    port: int = 0

    def has(self, host: str, port: str, listening: int | None) -> bool:
        """True if a Host header is the emulator's own.

        Args:
            host: Its name, in lower case.
            port: Its port; empty if it has none.
            listening: The port that the request came in at.
        """
        if host in (*LOOPBACK_NAMES, self.here) and port == str(listening):
            return True
        if self.advertised is None or host != self.advertised.host:
            return False
        return int(port or "443") == (self.advertised.port if listening == self.port else listening)


class Access:
    """Checks requests before their handlers see them.

    Args:
        peers: Decides which users may connect.
        hosts: The hosts of its own that it answers for.
    """

    def __init__(self, peers: Peers, hosts: AnsweredHosts = AnsweredHosts()) -> None:
        self._peers = peers
        self._hosts = hosts
        # By connection: its user does not change, and the look-up costs more than a request.
        self._refusals: WeakKeyDictionary[object, str | None] = WeakKeyDictionary()

    def check(self, request: web.Request) -> None:
        """Refuse a request that another user or a foreign page makes, or that lacks the key for its path.

        Raises:
            AccessError: If it is refused.
        """
        self._check_user(request)
        host, port = _split(request.headers.get("Host", ""))
        is_local = self._hosts.has(host, port, _port_of(request))
        is_azure = port in ("", "443") and any(fnmatchcase(host, pattern) for pattern in AZURE_HOSTS)
        own = request.path.lower().startswith(OWN_PATHS)
        if not is_local and (own or not is_azure):
            raise AccessError(403, f"The emulator does not answer for the host {_shown(request, 'Host')}.")
        mine = f"https://{host}:{port}" if port else f"https://{host}"
        if any(origin.lower() != mine for origin in request.headers.getall("Origin", ())):
            raise AccessError(403, f"The emulator takes no requests of pages from {_shown(request, 'Origin')}.")
        if own:
            _refuse_other_pages(request)
            if not _is_page(request.path):
                _check_key(request)

    def _check_user(self, request: web.Request) -> None:
        transport = request.transport
        if transport is None:
            raise AccessError(403, "The connection is closed.")
        if transport not in self._refusals:
            names = (transport.get_extra_info("peername"), transport.get_extra_info("sockname"))
            self._refusals[transport] = self._peers.refusal(*names)
        if (refusal := self._refusals[transport]) is not None:
            raise AccessError(403, refusal)


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)


@web.middleware
async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuse the requests that `Access.check` refuses."""
    try:
        request.app[ACCESS].check(request)
    except AccessError as error:
        headers = {"WWW-Authenticate": 'Bearer realm="emulator"'} if error.status == 401 else {}
        answer = web.json_response({"error": error.message}, status=error.status, headers=headers)
        answer.force_close()
        return answer
    return await handler(request)


def is_of_azure(path: str) -> bool:
    """True if a path is none of the emulator's own interface or page."""
    return path != "/" and not path.startswith((f"{OWN_PATHS}/", _STUDIO_PATHS)) and not _is_page(path)


def _is_page(path: str) -> bool:
    return path == PAGE_PATHS or path.startswith(f"{PAGE_PATHS}/")


def _refuse_other_pages(request: web.Request) -> None:
    """Refuse what a page of another origin asks for. A link may lead to the page."""
    is_link = _is_page(request.path) and request.headers.get("Sec-Fetch-Mode", "").lower() == "navigate"
    if request.headers.get("Sec-Fetch-Site", "").lower() in _FOREIGN_SITES and not is_link:
        raise AccessError(403, "The emulator's own interface takes no requests of other pages.")


def _check_key(request: web.Request) -> None:
    """Check what only the emulator's own interface needs: its key, and JSON."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    expected = request.app[CONTEXT].keys.admin
    if scheme.lower() != "bearer" or not is_same_secret(key.strip(), expected):
        raise AccessError(
            401,
            "The emulator's own interface needs its key as `Authorization: Bearer KEY`, which `zenml-azureml emulator "
            'env` sets in your shell. For curl: curl --config "$ZENML_AZUREML_EMULATOR_CURL" URL',
        )
    if request.body_exists and request.content_type != "application/json":
        raise AccessError(415, "The emulator's own interface takes bodies with `Content-Type: application/json` only.")


def _split(host: str) -> tuple[str, str]:
    """Return name and port of a Host header, the name in lower case; the port is empty if there is none."""
    name, colon, port = host.lower().rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host.lower(), "")


def _port_of(request: web.Request) -> int | None:
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return name[1] if name else None


def _shown(request: web.Request, header: str) -> str:
    """Return a header's value for a message, cut short."""
    return repr(request.headers.get(header, "")[:100])
