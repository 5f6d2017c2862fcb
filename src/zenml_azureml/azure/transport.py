"""The HTTP transport of one workspace: one connection pool, custom endpoints, and a clock that is passed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport

from zenml_azureml.azure.bounded_responses import BoundedAdapter, bounded
from zenml_azureml.azure.rate_limiter import Pacer
from zenml_azureml.azure.retry_after import capped, make_readable

#: Seconds to wait for a connection and for an answer; the SDK's own defaults are 300.
CONNECTION_TIMEOUT_SECONDS = 20
READ_TIMEOUT_SECONDS = 120

#: Bytes of the longest answer that is read: the VM sizes of a region take about one million.
LARGEST_ANSWER = 32 * 1024 * 1024

#: Longest time, in seconds, from a request to the end of its answer; the time-outs above are for one read.
LONGEST_ANSWER_SECONDS = 300.0

#: Number of connections that are kept open to one host. With the default of requests, 10, more threads would open a
#: new connection for nearly every request.
POOL_SIZE = 64


class WorkspaceTransport(RequestsTransport):  # type: ignore[misc]  # azure-core loads it lazily, untyped
    """Sends the requests of any number of threads, to custom endpoints if these are configured.

    Args:
        redirects: The address to use instead, for each address that must not be used. In the first URL, scheme, host
            and port count; the second may have a path prefix.
        sleeper: Sleeps that many seconds; azure-core's retries and pollers wait through it.
        pacer: Decides when a request may be sent; None sends each at once.
        clock: Seconds since some fixed moment, for the time that an answer takes. This is real time on the network,
            even if the rest of the process uses a simulated one.
    """

    def __init__(
        self,
        redirects: Mapping[str, str] | None = None,
        *,
        sleeper: Callable[[float], None] = time.sleep,
        pacer: Pacer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # The session is created here: opening one on first use is not thread-safe.
        super().__init__(
            session=_session(), connection_timeout=CONNECTION_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS
        )
        self.open()
        self._redirects = {_origin(url): to.rstrip("/") for url, to in (redirects or {}).items()}
        self._sleeper = sleeper
        self._pacer = pacer
        self._clock = clock
        #: The URLs that it was configured with.
        self.configured = tuple(url for pair in (redirects or {}).items() for url in pair)

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request. See `RequestsTransport.send` for arguments, answer and errors.

        Args:
            request: The request.
            options: Also `most_bytes` and `most_seconds`, the limits of the answer.

        Raises:
            azure.core.exceptions.ServiceResponseError: Also if a proxy answers with a web page, which each part of the
                SDK would fail to read in its own way, or if an answer is too long or too slow.
        """
        asked = request.url
        most_bytes = options.pop("most_bytes", LARGEST_ANSWER)
        most_seconds = options.pop("most_seconds", LONGEST_ANSWER_SECONDS)
        if self._pacer is not None:
            self._pacer.before(request.method, asked)
        target = self._redirects.get(_origin(request.url))
        if target is not None and not request.url.startswith(target):
            parts = urlsplit(request.url)
            request.url = target + request.url[len(f"{parts.scheme}://{parts.netloc}") :]
        with bounded(str(_origin(request.url)[1]), most_bytes, most_seconds, self._clock):
            response = super().send(request, **options)
        make_readable(response.headers)
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
        """Wait between two tries, or between two polls of a long-running operation.

        Args:
            duration: Seconds; an unreasonable pause is shortened. See `retry_after.capped`.
        """
        self._sleeper(capped(duration))


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("https://", BoundedAdapter(POOL_SIZE))
    return session


def _is_page(response: Any) -> bool:
    return str(response.headers.get("Content-Type", "")).lower().startswith("text/html")


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or 443
