"""Where a machine of Azure gets tokens of its managed identity, for which it needs no secret.

Forms and words: Microsoft's documentation ("How to use managed identities for App Service", "How to use managed
identities on an Azure VM to acquire an access token"), what msal reads, and public reports of the refusals. The
emulator's one application stands for the machine's identity, system-assigned and user-assigned.
"""

from __future__ import annotations

import hmac
import uuid
from datetime import timedelta

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context

#: Path of the endpoint for IDENTITY_ENDPOINT (App Service) and MSI_ENDPOINT (Azure ML), which differ by a header.
ENDPOINT = "/msi/token"

_NAMES_OF_IDENTITIES = ("client_id", "clientid", "object_id", "principal_id", "mi_res_id", "msi_res_id")


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [
        web.get(ENDPOINT, _app_service),
        web.get("/metadata/identity/oauth2/token", _virtual_machine),
    ]


def header_value(object_id: str) -> str:
    """What a client has to show that it runs on the machine: the value of IDENTITY_HEADER or MSI_SECRET.

    Args:
        object_id: Of the emulator's identity, which only its clients know.
    """
    return str(uuid.uuid5(uuid.UUID(object_id), "managed identity"))


async def _app_service(request: web.Request) -> web.Response:
    """For App Service (2019-08-01), and for the computes of Azure ML (2017-09-01)."""
    context = request.app[CONTEXT]
    name = "secret" if request.query.get("api-version") == "2017-09-01" else "X-IDENTITY-HEADER"
    if not hmac.compare_digest(request.headers.get(name, ""), header_value(context.identity.object_id)):
        # Guess: the status and the words.
        return _app_service_error(401, f"The {name} header is missing or wrong.")
    if not _is_assigned(request, context):
        return _app_service_error(
            400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    resource = request.query.get("resource", "")
    if not context.cloud.knows(resource):
        # Guess: the words. msal has found the status to be 500.
        return _app_service_error(500, "An unexpected error occured while fetching the AAD Token.")
    token, expires_on, _ = _token(resource, context)
    body = {"access_token": token, "expires_on": str(expires_on), "resource": resource, "token_type": "Bearer"}
    return web.json_response({**body, "client_id": context.client_id})


async def _virtual_machine(request: web.Request) -> web.Response:
    """For virtual machines: the instance metadata service."""
    context = request.app[CONTEXT]
    if request.headers.get("Metadata", "").lower() != "true":
        return _virtual_machine_error("Required metadata header not specified")
    if not _is_assigned(request, context):
        return _virtual_machine_error("Identity not found")
    resource = request.query.get("resource", "")
    if not context.cloud.knows(resource):
        return _virtual_machine_error(
            f"AADSTS500011: The resource principal named {resource} was not found in the tenant named "
            f"{context.tenant_id}.",
            error="invalid_resource",
        )
    token, expires_on, lifetime = _token(resource, context)
    return web.json_response(
        {
            "access_token": token,
            "client_id": context.client_id,
            "expires_in": str(lifetime),
            "expires_on": str(expires_on),
            "ext_expires_in": str(lifetime),
            "not_before": str(expires_on - lifetime),
            "resource": resource,
            "token_type": "Bearer",
        }
    )


def _is_assigned(request: web.Request, context: Context) -> bool:
    """Whether the identity that a request names, if it names one, is the machine's."""
    named = {request.query[name] for name in _NAMES_OF_IDENTITIES if name in request.query}
    return named <= {context.client_id, context.identity.object_id}


def _token(resource: str, context: Context) -> tuple[str, int, int]:
    """A token, the second at which it expires, and for how many seconds it is valid."""
    now, lifetime = context.clock.now(), int(context.settings.token_lifetime)
    token = context.identity.access_token(resource, now, timedelta(seconds=lifetime), method="2")
    return token, int(now.timestamp()) + lifetime, lifetime


def _app_service_error(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)


def _virtual_machine_error(description: str, *, error: str = "invalid_request") -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
