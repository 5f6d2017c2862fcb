"""Signing in: Microsoft Entra's token endpoint.

Words and codes of the refusals are Microsoft's, as their documentation and public reports quote them.
"""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.services.entra.clouds import CLOUDS

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def routes() -> list[web.RouteDef]:
    """Return the routes of Microsoft Entra."""
    return [
        web.post("/{tenant}/oauth2/v2.0/token", _token),
        web.get("/{tenant}/v2.0/.well-known/openid-configuration", _openid_configuration),
        web.get("/{tenant}/discovery/v2.0/keys", _keys),
        web.get("/common/discovery/instance", _discover_instance),
    ]


class _EntraError(Exception):
    def __init__(self, status: int, error: str, number: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.number = number
        self.description = description


async def _token(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    form = _form(await request.read()) if request.content_type == "application/x-www-form-urlencoded" else {}
    try:
        method = _sign_in(form, request.match_info["tenant"], context)
        audience = _audience(form.get("scope", ""), context)
        takes_challenges = _takes_challenges(form.get("claims", "{}"))
    except _EntraError as error:
        return _entra_error(request, error)
    lifetime = context.settings.token_lifetime
    token = context.identity.access_token(
        audience,
        context.clock.now(),
        timedelta(seconds=lifetime),
        method=method,
        takes_challenges=takes_challenges,
    )
    body = {
        "token_type": "Bearer",
        "expires_in": int(lifetime),
        "ext_expires_in": int(lifetime),
        "access_token": token,
    }
    return web.json_response(body, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form; what is not UTF-8 in it fits nothing."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _sign_in(form: dict[str, str], tenant: str, context: Context) -> str:
    """Return the sign-in of the application: `1` by secret, `2` by assertion."""
    identity = context.identity
    if tenant != identity.tenant_id:
        raise _unknown_tenant(tenant)
    if form.get("grant_type") != "client_credentials":
        raise _EntraError(
            400,
            "unsupported_grant_type",
            70003,
            f"The app requested an unsupported grant type '{form.get('grant_type')}'.",
        )
    client_id = form.get("client_id", "")
    if client_id != identity.client_id:
        raise _EntraError(
            400,
            "unauthorized_client",
            700016,
            f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can "
            "happen if the application has not been installed by the administrator of the tenant or "
            "consented to by any user in the tenant. You may have sent your authentication request to the "
            "wrong tenant.",
        )
    if form.get("client_assertion_type") == _ASSERTION:
        if not identity.is_assertion(form.get("client_assertion", "")):
            # Guess: Microsoft Entra distinguishes a bad signature, issuer and subject.
            raise _EntraError(
                400,
                "invalid_request",
                70021,
                "No matching federated identity record found for presented assertion.",
            )
        return "2"
    if "client_secret" not in form:
        raise _EntraError(
            401,
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )
    if identity.is_expired_secret(form["client_secret"]):
        raise _EntraError(
            401,
            "invalid_client",
            7000222,  # quoted: Budibase/budibase#15843, liprec/vsts-release-aas#119
            f"The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new "
            "keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added "
            "security: https://aka.ms/certCreds.",
        )
    if not identity.is_secret(form["client_secret"]):
        raise _EntraError(
            401,
            "invalid_client",
            7000215,  # quoted: Azure/sap-automation#418
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
            f"value, not the client secret ID, for a secret added to app '{client_id}'.",
        )
    return "1"


def _audience(scope: str, context: Context) -> str:
    """Return the audience of the token: the scope without its `/.default`; a slash before that is kept."""
    resource = scope.split(" ", maxsplit=1)[0].removesuffix("/.default")
    if context.cloud.knows(resource):
        return resource
    raise _EntraError(
        400,
        "invalid_resource",
        500011,
        f"The resource principal named {resource} was not found in the tenant named {context.tenant_id}. This "
        "can happen if the application has not been installed by the administrator of the tenant or consented "
        "to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
    )


def _takes_challenges(claims: str) -> bool:
    """True if the client supports claims challenges, according to the `claims` of its request.

    What else they ask for, such as a token that is younger than a revocation, every new token has.
    Source: Microsoft's documentation of claims requests; msal sends them for azure-identity's `enable_cae`.
    """
    try:
        wanted = json.loads(claims).get("access_token", {}).get("xms_cc", {}).get("values", [])
        capabilities = {str(capability).lower() for capability in wanted}
    except (ValueError, AttributeError, TypeError):
        # Guess: which error Microsoft Entra has for it.
        raise _EntraError(
            400, "invalid_request", 9002313, "Invalid request. Request is malformed or invalid."
        ) from None
    return "cp1" in capabilities


def _unknown_tenant(tenant: str) -> _EntraError:
    return _EntraError(
        400,
        "invalid_request",
        90002,
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
        "the correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    )


def _entra_error(request: web.Request, error: _EntraError) -> web.Response:
    moment = f"{request.app[CONTEXT].clock.now():%Y-%m-%d %H:%M:%SZ}"
    trace, correlation = str(uuid.uuid4()), request.headers.get("client-request-id") or str(uuid.uuid4())
    body = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.description} Trace ID: {trace} "
        f"Correlation ID: {correlation} Timestamp: {moment}",
        "error_codes": [error.number],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={error.number}",
    }
    return web.json_response(body, status=error.status, headers={"x-ms-request-id": secrets.token_hex(16)})


async def _discover_instance(request: web.Request) -> web.Response:
    """Answer if an authority is Microsoft's, and which of its hosts are aliases.

    Recorded in the tests of Azure/azure-sdk-for-js (ai-metrics-advisor, 2021), the clouds that are gone left out.
    """
    asked = urlsplit(request.query.get("authorization_endpoint", ""))
    if not any(asked.hostname in cloud.login_hosts for cloud in CLOUDS.values()):
        # Code and error: Microsoft's list of codes, and msal's checks. Message: Azure/login#419 and others.
        return _entra_error(request, _EntraError(400, "invalid_instance", 50049, "Unknown or invalid instance."))
    metadata = [
        {
            "preferred_network": cloud.login_hosts[0],
            # Quoted there: the public cloud's caches go by its second name.
            "preferred_cache": cloud.login_hosts[cloud is CLOUDS["AzureCloud"]],
            "aliases": cloud.login_hosts,
        }
        for cloud in CLOUDS.values()
    ]
    tenant = asked.path.strip("/").split("/")[0]
    return web.json_response(
        {
            "tenant_discovery_endpoint": f"https://{asked.hostname}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": metadata,
        },
        headers={"Cache-Control": "max-age=86400, private"},
    )


async def _openid_configuration(request: web.Request) -> web.Response:
    """Answer the metadata that msal reads before it requests a token."""
    context = request.app[CONTEXT]
    tenant = request.match_info["tenant"]
    if tenant != context.tenant_id:
        return _entra_error(request, _unknown_tenant(tenant))
    # At the host that was asked: behind the proxy that is Microsoft's.
    authority = f"https://{request.host}/{tenant}"
    return web.json_response(
        {
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": [
                "client_secret_post",
                "private_key_jwt",
                "client_secret_basic",
            ],
            "jwks_uri": f"{authority}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "tenant_region_scope": None,
        }
    )


async def _keys(request: web.Request) -> web.Response:
    return web.json_response({"keys": [request.app[CONTEXT].identity.public_key()]})
