"""The HTTP transport of one workspace: one connection pool, limits of answers, and a clock that is passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport

from zenml_azureml.azure.bounded_responses import BoundedAdapter, bounded
from zenml_azureml.azure.retry_after import capped

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
    """Sends the requests of any number of threads.

    Args:
        sleeper: Sleeps that many seconds; azure-core's retries and pollers wait through it.
        clock: Seconds since some fixed moment, for the time that an answer takes. This is real time on the network,
            even if the rest of the process uses a simulated one.
    """

    def __init__(
        self, *, sleeper: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # The session is created here: opening one on first use is not thread-safe.
        super().__init__(
            session=_session(), connection_timeout=CONNECTION_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS
        )
        self.open()
        self._sleeper = sleeper
        self._clock = clock

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request. See `RequestsTransport.send` for arguments, answer and errors.

        Args:
            request: The request.
            options: Also `most_bytes` and `most_seconds`, the limits of the answer.

        Raises:
            azure.core.exceptions.ServiceResponseError: Also if an answer is too long or too slow.
        """
        most_bytes = options.pop("most_bytes", LARGEST_ANSWER)
        most_seconds = options.pop("most_seconds", LONGEST_ANSWER_SECONDS)
        with bounded(str(urlsplit(request.url).hostname), most_bytes, most_seconds, self._clock):
            return super().send(request, **options)

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
