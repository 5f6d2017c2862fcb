"""Permissions for a vault's secrets, and the refusals of a vault.

Messages and codes: quoted in public reports (by roles: piyushsachdeva/Terraform_AKS#2; by access policies:
MicrosoftDocs/azure-docs#57072) and in recordings of the SDKs' tests (AKV10000).
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Final, Literal

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.services.arm.rbac import PROVIDER_OF_VAULTS, allowed_data
from zenml_azureml.emulator.services.entra.identity import InvalidTokenError
from zenml_azureml.emulator.services.keyvault.store import Vault

Deed = Literal["get", "list", "set", "delete", "recover", "purge"]

#: Name of each deed in roles. Source: Microsoft's list of Key Vault's operations.
_DATA_ACTIONS: Final[dict[Deed, str]] = {
    "get": "getSecret/action",
    "list": "readMetadata/action",
    "set": "setSecret/action",
    "delete": "delete",
    "recover": "recover/action",
    "purge": "purge/action",
}


class VaultError(Exception):
    """A refusal by a key vault.

    Attributes:
        status: HTTP status.
        code: `error.code`.
        message: `error.message`.
        inner: `error.innererror.code`; empty for none.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, *, inner: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = headers or {}


def demand(request: web.Request, vault: Vault, deed: Deed, name: str = "") -> None:
    """Refuse a request without permission for its deed.

    Args:
        request: The request, with its token.
        vault: The vault.
        deed: The operation.
        name: Of the secret.

    Raises:
        VaultError: 401 for no token or a bad one, 403 for who lacks the permission.
    """
    context = request.app[CONTEXT]
    claims = _claims(request, context)
    who, app = str(claims["oid"]), str(claims.get("appid", ""))
    caller = f"appid={app};oid={who};iss={claims['iss']}"
    if not vault.uses_roles:
        if not _policy_allows(vault, who, deed):
            raise VaultError(
                403,
                "Forbidden",
                f"The user, group or application '{caller}' does not have secrets {deed} permission on key vault "
                f"'{vault.name};location={vault.location}'. For help resolving this issue, please see "
                "https://go.microsoft.com/fwlink/?linkid=2125287",
                inner="AccessDenied",
            )
        return
    action = f"{PROVIDER_OF_VAULTS}/secrets/{_DATA_ACTIONS[deed]}"
    if not allowed_data(context.store.role_assignments, who, action, vault.path):
        resource = f"{vault.path}/secrets/{name}".rstrip("/").lower()
        raise VaultError(
            403,
            "Forbidden",
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
            f"definitions were changed recently, please observe propagation time.\r\nCaller: {caller}\r\n"
            f"Action: '{action}'\r\nResource: '{resource}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n"
            f"DecisionReason: null \r\nVault: {vault.name};location={vault.location}\r\n",
            inner="ForbiddenByRbac",
        )


def _policy_allows(vault: Vault, who: str, deed: Deed) -> bool:
    for policy in vault.access_policies:
        permissions: Any = policy.get("permissions") or {}
        granted = {str(permission).lower() for permission in permissions.get("secrets") or ()}
        if policy.get("objectId") == who and (deed in granted or ("all" in granted and deed != "purge")):
            return True
    return False


def _claims(request: web.Request, context: Context) -> dict[str, Any]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized(context, "AKV10000: Request is missing a Bearer or PoP token.")
    try:
        claims = context.identity.claims(token)
    except InvalidTokenError:
        # Guess: the message for a token of another tenant, or no token.
        raise _unauthorized(context, "AKV10022: Invalid audience or signature of the token.") from None
    if str(claims["aud"]).rstrip("/") != context.cloud.vault:
        raise _unauthorized(
            context,
            f"AKV10022: Invalid audience. Expected {context.cloud.vault}, found: {claims['aud']}.",
            error="invalid_token",
        )
    expiry = datetime.fromtimestamp(claims["exp"], timezone.utc)
    if expiry <= context.clock.now() or context.identity.revocation(claims):
        # Guess: the message.
        raise _unauthorized(context, "AKV10046: The token is expired or was revoked.", error="invalid_token")
    return claims


def _unauthorized(context: Context, message: str, *, error: str = "") -> VaultError:
    login = f"https://{context.cloud.login_hosts[0]}/{context.tenant_id}"
    challenge = f'Bearer authorization="{login}", resource="{context.cloud.vault}"'
    if error:
        challenge += f', error="{error}"'
    return VaultError(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})
