"""The check of access tokens by Azure Resource Manager, and what it says to those it does not take.

Words and codes of the refusals are Microsoft's, as their documentation and public reports quote them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.data_plane import failure
from zenml_azureml.emulator.http.responses import GatewayError
from zenml_azureml.emulator.services.entra.identity import InvalidTokenError, Revocation

#: Who asks: the object id in the token of a request that passed `demand_token`.
PRINCIPAL: web.RequestKey[str] = web.RequestKey("principal", str)
#: The client id there.
APPLICATION: web.RequestKey[str] = web.RequestKey("application", str)


#: Begin the paths of Azure ML's own host for registries.
_REGISTRIES = ("/mferp/", "/registrymanagement/")

#: The handlers that check their callers themselves, or answer with what is public.
WITHOUT_TOKEN: web.AppKey[frozenset[Any]] = web.AppKey("without_token", frozenset)


@web.middleware
async def demand_token(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let nothing through without a valid token but to handlers that have a check of their own.

    Raises:
        GatewayError: 401, with Azure Resource Manager's message.
    """
    if _needs_token(request):
        if "Authorization" not in request.headers and request.path.lower().startswith("/history/"):
            return _without_token(request)
        context = request.app[CONTEXT]
        # azure-ai-ml asks for a registry with tokens for Azure ML, when it shares an asset.
        more = (context.cloud.studio,) if request.path.startswith(_REGISTRIES) else ()
        claims = checked_claims(request.headers.get("Authorization"), context, more)
        request[PRINCIPAL], request[APPLICATION] = str(claims["oid"]), str(claims["appid"])
    return await handler(request)


def _needs_token(request: web.Request) -> bool:
    """True for all that is served, but for what `WITHOUT_TOKEN` lists."""
    found = request.match_info
    if found.http_exception is not None:
        return request.path.lower().lstrip("/").startswith(("subscriptions", "tenants", "history/", "mferp/"))
    return found.handler not in request.app[WITHOUT_TOKEN]


def _without_token(request: web.Request) -> web.Response:
    """Return the refusal of the services beside Resource Manager (quoted_unauthorised_bearer_missing.json)."""
    context = request.app[CONTEXT]
    body = failure(
        "UserError",
        "Bearer token not provided.",
        location=context.store.workspaces[0].location,
        now=context.clock.now(),
        component="run-history",
        inner="AuthorizationError",
    )
    return web.json_response(body, status=401)


def checked_claims(authorization: str | None, context: Context, audiences: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the claims of the token in a header.

    Args:
        authorization: The header; None if it is missing.
        context: The emulator.
        audiences: Audiences of tokens that are taken beside those of Azure Resource Manager.

    Raises:
        GatewayError: 401, with Azure Resource Manager's message, unless it is valid here and now.
    """
    if authorization is None:
        raise _unauthorized(
            context,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
            challenge="The authentication failed because of missing 'Authorization' header.",
        )
    scheme, _, token = authorization.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise InvalidTokenError
        claims = context.identity.claims(token)
    except InvalidTokenError:
        raise _invalid_token(context) from None
    audience = str(claims.get("aud"))
    if audience not in (*context.cloud.arm_audiences, *audiences):
        allowed = ",".join(f"'{name}'" for name in context.cloud.arm_audiences)
        raise _unauthorized(
            context,
            "InvalidAuthenticationTokenAudience",
            f"The access token has been obtained for wrong audience or resource '{audience}'. "
            f"It should exactly match with one of the allowed audiences {allowed}.",
        )
    expiry, now = datetime.fromtimestamp(claims["exp"], timezone.utc), context.clock.now()
    if expiry <= now:
        raise _unauthorized(
            context,
            "ExpiredAuthenticationToken",
            f"The access token expiry UTC time '{_american(expiry)}' is earlier than current UTC time "
            f"'{_american(now)}'.",
        )
    revocation = context.identity.revocation(claims)
    if revocation is not None:
        raise _revoked(context, revocation, claims)
    return claims


def _revoked(context: Context, revocation: Revocation, claims: dict[str, Any]) -> GatewayError:
    """Return the refusal of a revoked token, in one of its observed forms."""
    if revocation.answer == "none":
        # Without a challenge: not as Azure Resource Manager does it, but as proxies in front of it may.
        return GatewayError(401, "InvalidAuthenticationToken", "The access token is invalid.")
    if revocation.answer == "invalid_token" or "xms_cc" not in claims:
        # Guess: who has not said that they understand challenges gets none.
        return _invalid_token(context)
    wanted = {"access_token": {"nbf": {"essential": True, "value": f"{revocation.at.timestamp():.0f}"}}}
    encoded = base64.b64encode(json.dumps(wanted, separators=(",", ":")).encode()).decode()
    if revocation.answer == "session_revoked":
        # Quoted in the tests of Azure/azure-sdk-for-python, sdk/core/azure-mgmt-core (before 1.6), as from 2020.
        challenge = (
            f'Bearer authorization_uri="{context.base_url}/", error="invalid_token", '
            f'error_description="User session has been revoked", claims="{encoded}"'
        )
    else:
        # Quoted from Resource Manager in Azure/azure-sdk-for-python#41739; the claims in Azure/azure-cli#23635.
        challenge = (
            f'Bearer realm="", authorization_uri="{context.base_url}/common/oauth2/authorize", '
            f'error="insufficient_claims", claims="{encoded}"'
        )
    return GatewayError(
        401,
        # Guess: code and message are those of Microsoft Graph (Azure/azure-cli#26504).
        "InvalidAuthenticationToken",
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
        "TokenIssuedBeforeRevocationTimestamp",
        headers={"WWW-Authenticate": challenge},
    )


def _invalid_token(context: Context) -> GatewayError:
    return _unauthorized(context, "InvalidAuthenticationToken", "The access token is invalid.")


def _unauthorized(context: Context, code: str, message: str, *, challenge: str | None = None) -> GatewayError:
    header = (
        f'Bearer authorization_uri="{context.base_url}/{context.tenant_id}", '
        f'error="invalid_token", error_description="{challenge or message}"'
    )
    return GatewayError(401, code, message, headers={"WWW-Authenticate": header})


def _american(moment: datetime) -> str:
    """Return a time as `6/15/2026 8:22:51 AM`, the format of Azure Resource Manager."""
    hour = moment.hour % 12 or 12
    return f"{moment.month}/{moment.day}/{moment.year} {hour}:{moment:%M:%S %p}"
