"""The connections of the emulator: those that idle, send too slowly, or are too many are closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits for connections: idle times in seconds, and their number.

    Attributes:
        idle: Time between two requests. Azure's SDKs poll at least every 30 seconds.
        first_request: Time until the headers of the first request are complete.
        stalled: Time until a request's body is complete, and while the client reads nothing of an answer.
        most: Connections; those that do nothing are closed for new ones, the longest idle first.
    """

    idle: float = 120.0
    first_request: float = 60.0
    stalled: float = 60.0
    most: int = 500

    @property
    def interval(self) -> float:
        """Seconds between two checks of the connections."""
        return min(1.0, self.idle / 4, self.first_request / 4, self.stalled / 4)


DEFAULT_LIMITS = ConnectionLimits()


@dataclass
class _State:
    """State of one connection.

    Attributes:
        since: Start of that.
        request: Its current request; None while it is idle.
        served: Number of its requests.
        unsent: Bytes of answers that the client has not taken.
    """

    since: float = field(default_factory=time.monotonic)
    request: web.Request | None = None
    served: int = 0
    unsent: int = 0


class Connections:
    """Watches the connections of one emulator."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._states: WeakKeyDictionary[Any, _State] = WeakKeyDictionary()

    @asynccontextmanager
    async def watch(self, server: web.Server) -> AsyncIterator[None]:
        """Close what is beyond the limits, for the length of an `async with`."""
        task = asyncio.get_running_loop().create_task(self._watch(server))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def note(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Note that a connection is busy with a request while that is handled."""
        state = _State() if request.transport is None else self._states.setdefault(request.transport, _State())
        state.request, state.since = request, time.monotonic()
        state.served += 1
        try:
            return await handler(request)
        finally:
            state.request, state.since = None, time.monotonic()

    async def _watch(self, server: web.Server) -> None:
        while True:
            await asyncio.sleep(self._limits.interval)
            idle = []
            for connection in server.connections:
                if (transport := connection.transport) is None or transport.is_closing():
                    continue
                state = self._states.setdefault(transport, _State())
                if self._is_over(state, transport):
                    transport.abort()
                elif state.request is None:
                    idle.append((state.since, transport))
            surplus = len(server.connections) - self._limits.most
            for _, transport in sorted(idle, key=lambda one: one[0])[: max(0, surplus)]:
                transport.close()

    def _is_over(self, state: _State, transport: asyncio.Transport) -> bool:
        now, unsent = time.monotonic(), transport.get_write_buffer_size()
        if unsent and unsent != state.unsent:
            state.since = now  # the client still takes something, or a further answer is sent
        state.unsent = unsent
        waited = now - state.since
        if unsent or (state.request is not None and not state.request.content.is_eof()):
            return waited > self._limits.stalled
        if state.request is None and not state.served:
            return waited > self._limits.first_request
        return False


CONNECTIONS: web.AppKey[Connections] = web.AppKey("connections", Connections)


@web.middleware
async def note_connection(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Mark the connection of a request as busy."""
    return await request.app[CONNECTIONS].note(request, handler)
