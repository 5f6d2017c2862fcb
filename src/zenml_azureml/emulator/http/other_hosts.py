"""Hosts that the emulator answers for beside its own address, which stands for Azure Resource Manager."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from zenml_azureml.emulator.context import CONTEXT, Context


def service_with(context: Context, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    """Return a service with one handler for all requests to a host.

    Args:
        context: State for the handler.
        answer: The handler.
    """
    app = web.Application()
    app[CONTEXT] = context
    app.router.add_route("*", "/{path:(?s:.*)}", answer)
    return app


def unless_other_host(middleware: Middleware) -> Middleware:
    """Return a middleware that skips another one for hosts with an application of their own, e.g. key vaults.

    Args:
        middleware: Middleware for the emulator's own address.
    """

    @web.middleware
    async def skip_or_apply(request: web.Request, handler: Handler) -> web.StreamResponse:
        if len(request.match_info.apps) > 1:
            return await handler(request)
        return await middleware(request, handler)

    return skip_or_apply
