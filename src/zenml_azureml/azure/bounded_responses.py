"""Limits on the size and duration of answers, even if the server is malicious.

urllib3's time-outs are for one read: a server that sends a byte per second never exceeds them. So the socket itself
checks the deadline, for headers, for the frames of chunked bodies and for compressed data alike.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from azure.core.exceptions import ServiceResponseError
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError, ReadTimeoutError
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context

#: The encodings that are accepted; one at a time, not nested.
_ENCODINGS = ("", "identity", "gzip", "deflate")

#: Number of bytes that headers, and the frames of a chunked body, may have in addition to the body.
_OVERHEAD = 1024 * 1024


class TooMuchError(ServiceResponseError):
    """An answer that exceeded the limit of size or time."""


class Exchange(threading.local):
    """The request that this thread has sent, and the limits of its answer."""

    def __init__(self) -> None:
        self.clock: Callable[[], float] | None = None
        self.until = 0.0
        self.seconds = 0.0
        self.most_bytes = 0
        self.read = 0
        self.where = ""

    @contextmanager
    def bounded(self, where: str, most_bytes: int, seconds: float, clock: Callable[[], float]) -> Iterator[None]:
        """Limit the data that this thread receives, for the duration of a `with`."""
        self.where, self.most_bytes, self.seconds, self.read = where, most_bytes, seconds, 0
        self.clock, self.until = clock, clock() + seconds
        try:
            yield
        finally:
            self.clock = None

    def received(self, number: int) -> None:
        """Count received bytes.

        Raises:
            TooMuchError: If they are too many, or took too long.
        """
        if self.clock is None:
            return
        self.read += number
        if self.read > self.most_bytes + _OVERHEAD:
            raise self.too_long()
        if self.clock() > self.until:
            raise TooMuchError(f"{self.where} took longer than {self.seconds:.0f} s for one answer.")

    def too_long(self) -> TooMuchError:
        """Return the error for an answer that is too long."""
        return TooMuchError(f"{self.where} sent more than {self.most_bytes:,} bytes in one answer.")


_EXCHANGE = Exchange()

#: Limits the answer to this thread's request. See `Exchange.bounded`.
bounded = _EXCHANGE.bounded


class _BoundedSocket(ssl.SSLSocket):
    """A connection that enforces the limits of the thread that reads from it."""

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        number = super().recv_into(*arguments, **options)
        _EXCHANGE.received(number)
        return number


class _BoundedBody:
    """urllib3's answer, with a limit on its decompressed size."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_raw":
            super().__setattr__(name, value)
        else:
            setattr(self._raw, name, value)

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body, piece by piece.

        Raises:
            TooMuchError: If it is too long.
        """
        encoding = str(self._raw.headers.get("Content-Encoding") or "").strip().lower()
        if encoding not in _ENCODINGS:
            self._raw.close()
            raise ServiceResponseError(f"{_EXCHANGE.where} sent an answer in the encoding {encoding!r}.")
        size = 0
        for piece in self._pieces(amount, decode_content):
            size += len(piece)
            if _EXCHANGE.clock is not None and size > _EXCHANGE.most_bytes:
                self._raw.close()
                raise _EXCHANGE.too_long()
            yield piece

    def _pieces(self, amount: int, decode_content: bool | None) -> Iterator[bytes]:
        try:
            yield from self._raw.stream(amount, decode_content=decode_content)
        except (ProtocolError, ReadTimeoutError) as error:
            # The SDK reads some answers as streams, and lets an error of `requests` out of them.
            raise ServiceResponseError(
                f"{_EXCHANGE.where} did not complete its answer: {error}", error=error
            ) from error


class BoundedAdapter(HTTPAdapter):
    """Sends requests of `requests` over HTTPS, with the limits of `bounded`.

    Args:
        connections: Number of connections that are kept open to one host.
    """

    def __init__(self, connections: int) -> None:
        # As in azure-core's own sessions: only its retry policy retries.
        never = Retry(total=False, redirect=False, raise_on_status=False)
        super().__init__(pool_maxsize=connections, max_retries=never)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use limited connections."""
        super().init_poolmanager(*arguments, ssl_context=_context(), **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Use limited connections through a proxy."""
        return super().proxy_manager_for(proxy, ssl_context=_context(), **options)

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, as `HTTPAdapter.send`."""
        response = super().send(*arguments, **options)
        response.raw = _BoundedBody(response.raw)
        return response


def _context() -> ssl.SSLContext:
    context = create_urllib3_context()
    context.sslsocket_class = _BoundedSocket
    return context
