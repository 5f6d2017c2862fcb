"""HTTP for everything that goes to one workspace: one pool of connections, custom endpoints, a clock of one's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from zenml_azureml.workspace.pacing import Pacer

#: Seconds to wait for a connection and for an answer; the SDK's own defaults are 300.
CONNECTION_TIMEOUT_SECONDS = 20
READ_TIMEOUT_SECONDS = 120

#: Connections that are kept open to one host. With requests' own 10, more threads than that would open a
#: new connection for nearly every request.
POOL_SIZE = 64


class WorkspaceTransport(RequestsTransport):  # type: ignore[misc]  # azure-core loads it lazily, untyped
    """Sends the requests of any number of threads, each to where it belongs.

    Args:
        redirects: For each address that must not be used, the one to use instead: URLs, of which scheme, host
            and port count in the first, and a path at the front in the second.
        sleeper: Sleeps that many seconds; azure-core's retries and pollers wait through it.
        pacer: Says when a request may be sent; None sends each at once.
    """

    def __init__(
        self,
        redirects: Mapping[str, str] | None = None,
        *,
        sleeper: Callable[[float], None] = time.sleep,
        pacer: Pacer | None = None,
    ) -> None:
        # Its own session, made here once: opening one on first use is not thread-safe.
        super().__init__(
            session=_session(), connection_timeout=CONNECTION_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS
        )
        self.open()
        self._redirects = {_origin(url): to.rstrip("/") for url, to in (redirects or {}).items()}
        self._sleeper = sleeper
        self._pacer = pacer

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request; what `RequestsTransport.send` says of arguments, answer and errors holds.

        Raises:
            azure.core.exceptions.ServiceResponseError: Also where something on the way answers with a web page: the
                SDK would fail to read it, each part in its own way.
        """
        asked = request.url
        if self._pacer is not None:
            self._pacer.before(request.method, asked)
        target = self._redirects.get(_origin(request.url))
        if target is not None and not request.url.startswith(target):
            parts = urlsplit(request.url)
            request.url = target + request.url[len(f"{parts.scheme}://{parts.netloc}") :]
        response = super().send(request, **options)
        if self._pacer is not None:
            self._pacer.after(request.method, asked, response.headers)
        if response.status_code < 300 and _is_page(response):
            response.internal_response.close()
            raise ServiceResponseError(
                f"{_origin(request.url)[1]} answered with a web page: something on the way, such as a proxy that wants "
                "a login, has answered in its place."
            )
        return response

    def sleep(self, duration: float) -> None:
        """Wait between two tries, or two looks at a long-running operation.

        Args:
            duration: Seconds.
        """
        self._sleeper(duration)


def _session() -> requests.Session:
    session = requests.Session()
    # As azure-core's own sessions: nothing is tried again below its retry policy.
    never = Retry(total=False, redirect=False, raise_on_status=False)
    session.mount("https://", HTTPAdapter(pool_maxsize=POOL_SIZE, max_retries=never))
    return session


def _is_page(response: Any) -> bool:
    return str(response.headers.get("Content-Type", "")).lower().startswith("text/html")


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443
