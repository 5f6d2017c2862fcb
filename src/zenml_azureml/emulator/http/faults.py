"""Faults on purpose: armed over HTTP, fired by matching requests."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.access import is_of_azure
from zenml_azureml.emulator.http.bounds import Pattern, Seconds, Times, without_control_characters
from zenml_azureml.emulator.http.recorder import RESET


def _header_value(text: str) -> str:
    text.encode("latin-1", "strict")
    return without_control_characters(text)


_HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
_HeaderValue = Annotated[str, AfterValidator(_header_value), Field(max_length=8_000)]


class Fault(BaseModel):
    """A fault, and the requests that it applies to.

    Attributes:
        method: Regular expression that the whole HTTP method must match, in any case.
        path: Regular expression that must be found in the path, in any case.
        client: Regular expression that must be found in the header `User-Agent`, in any case: whose requests it meets.
        after: Number of such requests that pass first.
        times: Number of requests that it affects; it is spent after that.
        processed: True to process the request, so that only its answer is lost.
        delay: Seconds to wait before the answer (or the reset).
        status: HTTP status to answer with.
        body: JSON to answer with.
        html: A page to answer with instead, as proxies do.
        headers: Headers to answer with, e.g. `{"Retry-After": "2"}`.
        reset: True to reset the TCP connection instead of answering.
        truncated: True to process the request, and to reset the connection in the middle of the answer's body.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    method: Pattern = ".*"
    path: Pattern = ".*"
    client: Pattern = ""
    after: int = Field(0, ge=0, le=1_000_000_000, strict=True)
    times: Times = 1
    processed: bool = Field(False, strict=True)
    delay: Seconds = 0.0
    status: int | None = Field(None, ge=200, le=599, strict=True)
    body: Any = None
    html: str | None = None
    headers: dict[_HeaderName, _HeaderValue] = {}
    reset: bool = Field(False, strict=True)
    truncated: bool = Field(False, strict=True)

    @model_validator(mode="after")
    def _makes_sense(self) -> Fault:
        if (self.status is not None) + self.reset + self.truncated > 1:
            raise ValueError("an answer, a reset and an answer that is cut off exclude each other: give one of them")
        if self.status is None and not (self.reset or self.truncated or self.delay):
            raise ValueError("nothing would go wrong: give `status`, `reset`, `truncated` or `delay`")
        if self.status is None and (self.body is not None or self.html is not None or self.headers):
            raise ValueError("`body`, `html` and `headers` need a `status`")
        if self.body is not None and self.html is not None:
            raise ValueError("give `body` or `html`, not both")
        return self

    def matches(self, method: str, path: str, client: str = "") -> bool:
        """True if it applies to such a request."""
        return bool(
            re.fullmatch(self.method, method, re.IGNORECASE)
            and re.search(self.path, path, re.IGNORECASE)
            and re.search(self.client, client, re.IGNORECASE)
        )


@dataclass
class ArmedFault:
    """A fault, with the numbers of requests that passed, and that it affected."""

    fault: Fault
    passed: int = 0
    fired: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the fault for `GET /_emulator/faults`."""
        return {**self.fault.model_dump(), "fired": self.fired}


@dataclass
class Faults:
    """The faults of one emulator, in the order in which they were armed."""

    armed: list[ArmedFault] = field(default_factory=list)

    def fire(self, method: str, path: str, client: str = "") -> Fault | None:
        """Return the first unspent fault for such a request, counted as fired; None if there is none.

        Those after it do not see the request.
        """
        for armed in self.armed:
            if armed.fired < armed.fault.times and armed.fault.matches(method, path, client):
                if armed.passed < armed.fault.after:
                    armed.passed += 1
                    continue
                armed.fired += 1
                return armed.fault
        return None


FAULTS: web.AppKey[Faults] = web.AppKey("faults", Faults)


@web.middleware
async def inject(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Delay each answer by the configured latency, and apply the armed faults."""
    if not is_of_azure(request.path):
        return await handler(request)
    context = request.app[CONTEXT]
    if context.settings.latency:
        await context.clock.sleep(context.settings.latency)
    fault = request.app[FAULTS].fire(request.method, request.path, request.headers.get("User-Agent", ""))
    if fault is None:
        return await handler(request)
    # A client that is still sending would see its own error instead of the fault.
    await request.read()
    answer: web.StreamResponse | None = None
    if fault.processed or not (fault.reset or fault.status):
        answer = await handler(request)
    await context.clock.sleep(fault.delay)
    if fault.reset:
        _reset(request)
        return web.Response()
    if fault.html is not None:
        status = fault.status or 200
        return web.Response(text=fault.html, content_type="text/html", status=status, headers=fault.headers)
    if fault.status is not None:
        return web.json_response(fault.body, status=fault.status, headers=fault.headers)
    assert answer is not None  # noqa: S101 - a fault without status and reset is a delay
    if fault.truncated:
        await _send_half(request, answer)
    return answer


async def _send_half(request: web.Request, answer: web.StreamResponse) -> None:
    """Send the headers and half of the body, then reset; an answer without a body is not sent at all."""
    if isinstance(answer, web.Response) and isinstance(answer.body, bytes) and len(answer.body) > 1:
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        half = web.StreamResponse(status=answer.status, headers=headers)
        await half.prepare(request)
        await half.write(answer.body[: len(answer.body) // 2])
        # What is still in the socket's buffer would be lost with the connection.
        await asyncio.sleep(0)
    _reset(request)


def _reset(request: web.Request) -> None:
    """Close the connection with a TCP RST, which the client sees as `Connection reset by peer`."""
    request[RESET] = True
    transport = request.transport
    if transport is None:
        return
    # A socket that is closed with a linger time of zero resets; otherwise TCP would end politely.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
