"""What goes wrong on purpose: armed over HTTP, fired by the requests that match."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.recorder import RESET


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


_Pattern = Annotated[str, AfterValidator(_pattern)]


class Fault(BaseModel):
    """What shall go wrong, and for which requests.

    Attributes:
        method: Regular expression that the whole HTTP method must match, in any case.
        path: Regular expression that must be found in the path, in any case.
        times: How many requests it meets; it is spent after that.
        processed: Whether the request is carried out all the same, so that only its answer is lost.
        delay: Seconds to wait before the answer (or the reset).
        status: HTTP status to answer with.
        body: JSON to answer with.
        headers: Headers to answer with, e.g. `{"Retry-After": "2"}`.
        reset: Whether to reset the TCP connection instead of answering.
    """

    model_config = ConfigDict(extra="forbid")

    method: _Pattern = ".*"
    path: _Pattern = ".*"
    times: int = Field(1, ge=1)
    processed: bool = False
    delay: float = Field(0.0, ge=0)
    status: int | None = Field(None, ge=400, le=599)
    body: Any = None
    headers: dict[str, str] = {}
    reset: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Fault:
        if self.reset and self.status is not None:
            raise ValueError("a connection that is reset has no status: give `reset` or `status`, not both")
        if not self.reset and self.status is None and not self.delay:
            raise ValueError("nothing would go wrong: give `status`, `reset` or `delay`")
        if self.status is None and (self.body is not None or self.headers):
            raise ValueError("`body` and `headers` need a `status`")
        return self

    def matches(self, method: str, path: str) -> bool:
        """Whether it is meant for such a request."""
        return bool(re.fullmatch(self.method, method, re.IGNORECASE) and re.search(self.path, path, re.IGNORECASE))


@dataclass
class ArmedFault:
    """A fault, and how many requests it has met."""

    fault: Fault
    fired: int = 0

    def as_json(self) -> dict[str, Any]:
        """For `GET /_emulator/faults`."""
        return {**self.fault.model_dump(), "fired": self.fired}


@dataclass
class Faults:
    """The faults of one emulator, in the order in which they were armed."""

    armed: list[ArmedFault] = field(default_factory=list)

    def fire(self, method: str, path: str) -> Fault | None:
        """The first unspent fault for such a request, counted as fired; None if there is none."""
        for armed in self.armed:
            if armed.fired < armed.fault.times and armed.fault.matches(method, path):
                armed.fired += 1
                return armed.fault
        return None


FAULTS: web.AppKey[Faults] = web.AppKey("faults", Faults)


@web.middleware
async def inject(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Delay each answer by the latency that is set, and let the armed faults happen."""
    if request.path.startswith("/_emulator/"):
        return await handler(request)
    context = request.app[CONTEXT]
    if context.settings.latency:
        await context.clock.sleep(context.settings.latency)
    fault = request.app[FAULTS].fire(request.method, request.path)
    if fault is None:
        return await handler(request)
    # A client that is still sending would not see what was armed, but an error of its own.
    await request.read()
    answer: web.StreamResponse | None = None
    if fault.processed or not (fault.reset or fault.status):
        answer = await handler(request)
    await context.clock.sleep(fault.delay)
    if fault.reset:
        _reset(request)
        return web.Response()
    if fault.status is not None:
        return web.json_response(fault.body, status=fault.status, headers=fault.headers)
    assert answer is not None  # noqa: S101 - a fault without status and reset is a delay
    return answer


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
