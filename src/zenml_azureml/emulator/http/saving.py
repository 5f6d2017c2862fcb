"""No answer leaves before the state that it shows is saved; a request whose changes cannot be saved fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import GatewayError


@web.middleware
async def save_changes(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Save what a request has changed, and what has changed beside it.

    Raises:
        GatewayError: 507, if it cannot be saved: the disk is full, for example.
    """
    journal = request.app[CONTEXT].journal
    if journal is None:
        return await handler(request)
    if request.method in ("PUT", "PATCH") and request.path.lower().startswith("/subscriptions/"):
        journal.save()
        if journal.failure:  # a second request for the same would change nothing, and must not succeed
            raise _not_saved(f"Nothing is changed while the emulator cannot save its state. {journal.failure}")
    before = journal.unsaved
    try:
        answer = await handler(request)
    finally:
        if request.method not in ("GET", "HEAD"):
            journal.mark()
        journal.save()
    if request.method not in ("GET", "HEAD") and not answer.prepared and not journal.unsaved <= before:
        raise _not_saved(
            "The request was carried out, but the emulator cannot save its state: the change is lost if the emulator "
            f"ends before it can. {journal.failure}"
        )
    return answer


def _not_saved(message: str) -> GatewayError:
    # No answer of Azure's. The SDK tries some seconds for room, and then shows the message.
    return GatewayError(507, "InsufficientStorage", message)
