"""Answers for refusals: of Azure ML, of Azure Resource Manager, and for paths without a route."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.access import OWN_PATHS
from zenml_azureml.emulator.http.bounds import MOST_BODY_BYTES
from zenml_azureml.emulator.http.responses import (
    GatewayError,
    ServiceError,
    aml_error,
    gateway_error,
    not_emulated,
)
from zenml_azureml.emulator.local.private_files import in_words

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?")


@web.middleware
async def answer_refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn the exceptions of handlers into Azure's answers."""
    try:
        return await handler(request)
    except ServiceError as error:
        return aml_error(request, error)
    except GatewayError as error:
        return gateway_error(request, error)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        if request.path.lower().startswith(OWN_PATHS):
            raise
        return gateway_error(request, not_emulated(f"The operation {request.method} {_operation(request)}"))
    except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError) as error:
        return gateway_error(request, _unread(error))
    except OSError as error:  # there is no room on the disk, for example
        words = in_words(error, request.app[CONTEXT].folder)
        return gateway_error(request, GatewayError(500, "InternalServerError", words))


def _unread(error: Exception) -> GatewayError:
    """Return the refusal of a request of which the body cannot be read."""
    # Guess: the codes and the messages of both.
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        most = MOST_BODY_BYTES // 1024**2
        return GatewayError(
            413, "RequestContentTooLarge", f"The request content size exceeds the maximum size of {most} MB."
        )
    return GatewayError(400, "InvalidRequestContent", f"The request content could not be read: '{error}'.")


@web.middleware
async def demand_api_version(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuse requests to Azure Resource Manager without an `api-version`.

    Raises:
        GatewayError: 400, if it is missing or no version.
    """
    if _is_arm(request):
        version = request.query.get("api-version")
        if not version:
            raise GatewayError(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if not _API_VERSION.fullmatch(version):
            # Guess: ARM also lists the versions that it supports.
            raise GatewayError(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
    return await handler(request)


def _is_arm(request: web.Request) -> bool:
    return request.path.lower().startswith(("/subscriptions", "/tenants"))


def _operation(request: web.Request) -> str:
    """Return the kind of resource in a path, e.g. `workspaces/schedules`; of other services the whole path."""
    _, is_arm, tail = request.path.partition("/providers/")
    if not is_arm:
        return request.path
    namespace, _, names = tail.partition("/")
    return f"{namespace}/{'/'.join(names.split('/')[::2])}".rstrip("/")
