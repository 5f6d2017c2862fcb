"""Answers for refusals: of Azure ML, of Azure Resource Manager, and for paths without a route."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.bounds import MOST_BODY_BYTES
from zenml_azureml.emulator.http.responses import GatewayError, ServiceError, aml_error, gateway_error
from zenml_azureml.emulator.local.private_files import in_words
from zenml_azureml.emulator.state import PROVIDER

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
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        if not _is_arm(request):
            raise
        return gateway_error(request, _unserved(request, error.status))
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


def _unserved(request: web.Request, status: int) -> GatewayError:
    """Return ARM's refusal of a path or a method without a route."""
    # Guess: both; for an unknown type ARM also lists the versions that it supports.
    if status == 405:
        return GatewayError(405, "MethodNotAllowed", f"The method {request.method} is not supported here.")
    _, _, tail = request.path.partition("/providers/")
    namespace, _, names = tail.partition("/")
    kind = "/".join(names.lower().split("/")[::2])
    return GatewayError(
        404,
        "InvalidResourceType",
        f"The resource type '{kind}' could not be found in the namespace '{namespace or PROVIDER}' for api version "
        f"'{request.query.get('api-version')}'.",
    )
