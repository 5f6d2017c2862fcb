"""The owner of a token, from its claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt

#: Programs that sign users in for `DefaultAzureCredential`, by their application ids at Microsoft Entra.
#: Source: Microsoft's list of its own applications.
_PROGRAMS = {
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "the Azure CLI",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Azure PowerShell",
}


@dataclass(frozen=True)
class SignedIn:
    """The principal that has signed in.

    Attributes:
        who: Its name, as it stands in the middle of a sentence, e.g. "`ada@example.org` by the Azure CLI".
        is_user: True if it is a person, who can log in again.
        tenant_id: The Microsoft Entra tenant; empty if the token does not contain it.
        object_id: Its object id, for role assignments; empty if the token does not contain it.
    """

    who: str
    is_user: bool = False
    tenant_id: str = ""
    object_id: str = ""


def signed_in_as(token: str) -> SignedIn | None:
    """Return the owner of a token, from its claims.

    Args:
        token: An access token. Only its audience may rely on its content, so the result is for messages, never for a
            decision.

    Returns:
        The owner; None for a token that cannot be read.
    """
    claims = _claims(token)
    tenant, application = str(claims.get("tid") or ""), str(claims.get("appid") or claims.get("azp") or "")
    of_tenant = f" of tenant `{tenant}`" if tenant else ""
    object_id = str(claims.get("oid") or "")
    user = claims.get("upn") or claims.get("unique_name") or claims.get("preferred_username")
    if user:
        program = _PROGRAMS.get(application)
        who = f"`{user}`{of_tenant}" + (f" by {program}" if program else "")
        return SignedIn(who, is_user=True, tenant_id=tenant, object_id=object_id)
    if claims.get("xms_mirid"):  # the resource of a managed identity, or the identity itself
        name = str(claims["xms_mirid"]).rpartition("/")[2]
        return SignedIn(f"the managed identity `{name}`{of_tenant}", tenant_id=tenant, object_id=object_id)
    if not application:
        return None
    return SignedIn(f"the application `{application}`{of_tenant}", tenant_id=tenant, object_id=object_id)


def _claims(token: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}
    return claims
