"""Record of all served requests, for tests that count them."""

from __future__ import annotations

import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.access import is_of_azure
from zenml_azureml.emulator.http.headers import REQUEST_ID, STARTED
from zenml_azureml.emulator.http.responses import timestamp

#: Number of requests to keep; older ones are dropped.
_LIMIT = 200_000
#: The secret in the path of the metadata service (`services/entra/managed_identity.py`).
_SECRET_IN_PATH = re.compile(r"^/imds/[^/]*")
_SIGNATURE = re.compile(r"((?:^|&)sig=)[^&]*", re.IGNORECASE)


@dataclass
class RecordedRequest:
    """A request, without its body and its headers: those hold secrets.

    Attributes:
        id: Its `x-ms-request-id`.
        connection: Number of the TCP connection it came by, from 1.
        method: HTTP method.
        path: Path of the URL.
        query: Query of the URL, as sent but for the signature of a SAS.
        status: HTTP status of the answer; None before the answer, or if the connection was reset.
        start: Time of its arrival, by the emulator's clock.
        duration: Seconds until the answer was sent; None while it is being served.
        bytes_sent: Length of the answer in bytes, headers and body.
    """

    id: str
    connection: int
    method: str
    path: str
    query: str
    start: str
    status: int | None = None
    duration: float | None = None
    bytes_sent: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the request for `GET /_emulator/requests`."""
        return asdict(self)


#: Set if a request's connection was reset instead of answered.
RESET: web.RequestKey[bool] = web.RequestKey("reset", bool)
_RECORDED: web.RequestKey[RecordedRequest] = web.RequestKey("recorded", RecordedRequest)


class Recorder:
    """Record of the requests of one emulator."""

    def __init__(self) -> None:
        self.requests: deque[RecordedRequest] = deque(maxlen=_LIMIT)
        self._connections: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._numbers = count(1)

    def connection_of(self, request: web.Request) -> int:
        """Return the number of a request's connection; 0 if it is already closed."""
        transport = request.transport
        if transport is None:
            return 0
        if transport not in self._connections:
            self._connections[transport] = next(self._numbers)
        return self._connections[transport]


RECORDER: web.AppKey[Recorder] = web.AppKey("recorder", Recorder)


@web.middleware
async def record(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Note each request as it comes in; `FinishRecord` notes its end."""
    request[STARTED] = time.monotonic()
    request[REQUEST_ID] = str(uuid.uuid4())
    if is_of_azure(request.path):
        recorder = request.app[RECORDER]
        entry = RecordedRequest(
            id=request[REQUEST_ID],
            connection=recorder.connection_of(request),
            method=request.method,
            path=_SECRET_IN_PATH.sub("/imds/REDACTED", request.path),
            query=_SIGNATURE.sub(r"\1REDACTED", request.query_string),
            start=timestamp(request.app[CONTEXT].clock.now()),
        )
        recorder.requests.append(entry)
        on_request = request.app[CONTEXT].on_request
        if on_request is not None:
            on_request(request.method, request.path_qs, await request.read())
        request[_RECORDED] = entry
    return await handler(request)


class FinishRecord(AbstractAccessLogger):
    """aiohttp's access log: called once an answer is sent to its last byte."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Note how the request ended."""
        entry = request.get(_RECORDED)
        if entry is not None:
            entry.duration = time
            if not request.get(RESET):
                entry.status = response.status
                entry.bytes_sent = response.body_length
