"""No answer leaves before the state that it shows is saved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT


@web.middleware
async def save_changes(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Save what a request has changed, and what has changed beside it."""
    journal = request.app[CONTEXT].journal
    if journal is None:
        return await handler(request)
    try:
        return await handler(request)
    finally:
        if request.method not in ("GET", "HEAD"):
            journal.mark()
        journal.save()
