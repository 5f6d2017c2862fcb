"""What happens around each request, whatever its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from zenml_azureml.emulator.http import (
    GatewayError,
    ServiceError,
    aml_error,
    gateway_error,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into the answers that Azure gives."""
    try:
        return await handler(request)
    except ServiceError as error:
        return aml_error(request, error)
    except GatewayError as error:
        return gateway_error(request, error)
