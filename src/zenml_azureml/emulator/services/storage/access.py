"""The check of a request to blob storage: a key, a SAS, or a token of Microsoft Entra."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.services.entra.identity import InvalidTokenError
from zenml_azureml.emulator.services.storage.errors import BlobError, authentication_failed
from zenml_azureml.emulator.services.storage.sas import StorageAccount, sas_period

_AUDIENCE = "https://storage.azure.com"


@dataclass(frozen=True)
class Wanted:
    """What a request does, in the words of a SAS.

    Attributes:
        container: Name of the container; empty for the account.
        blob: Name of the blob; None for the container.
        permissions: Letters of which one is needed.
    """

    container: str
    blob: str | None
    permissions: str

    @property
    def resource(self) -> str:
        """The letter of an account SAS for the kind of resource."""
        return "s" if not self.container else "c" if self.blob is None else "o"


def check_access(request: web.Request, account: StorageAccount, wanted: Wanted) -> None:
    """Refuse a request that nothing allows.

    Raises:
        BlobError: With the service's code.
    """
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    if scheme == "bearer":
        # Guess: the data roles of the principal are not looked at.
        _check_token(request, request.app[CONTEXT])
    elif scheme == "sharedkey":
        if not account.accepts_shared_key(request.method, request.rel_url.raw_path, request.query, request.headers):
            raise authentication_failed("The MAC signature found in the HTTP request is not valid.")
    elif "sig" in request.query:
        _check_sas(request, account, wanted)
    else:
        raise BlobError(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")


def http_date(moment: datetime) -> str:
    """Return a time as headers have it."""
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


def _check_sas(request: web.Request, account: StorageAccount, wanted: Wanted) -> None:
    query = request.query
    if not account.accepts_sas(wanted.container, wanted.blob, query):
        raise authentication_failed("Signature did not match.")
    try:
        start, expiry = sas_period(query)
    except ValueError:
        raise authentication_failed("Signature fields not well formed.") from None
    now = request.app[CONTEXT].clock.now()
    if not start <= now <= expiry:
        raise authentication_failed(
            f"Signature not valid in the specified time frame: Start [{http_date(start)}] - "
            f"Expiry [{http_date(expiry)}] - Current [{http_date(now)}]"
        )
    if "srt" in query and (wanted.resource not in query["srt"] or "b" not in query.get("ss", "")):
        raise BlobError(
            403,
            "AuthorizationResourceTypeMismatch",
            "This request is not authorized to perform this operation using this resource type.",
        )
    # A SAS of a service never lists containers, and one of a blob nothing but that blob.
    too_narrow = "srt" not in query and (not wanted.container or (query.get("sr") == "b" and wanted.blob is None))
    if too_narrow or not set(wanted.permissions) & set(query.get("sp", "")):
        raise BlobError(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )


def _check_token(request: web.Request, context: Context) -> None:
    token = request.headers["Authorization"].partition(" ")[2]
    try:
        claims = context.identity.claims(token)
    except InvalidTokenError:
        raise _refused(context, "Signature validation failed. Signature verification failed.") from None
    if str(claims["aud"]).rstrip("/") != _AUDIENCE:
        raise _refused(context, "Audience validation failed. Audience did not match.")
    if datetime.fromtimestamp(claims["exp"], timezone.utc) <= context.clock.now():
        raise _refused(context, "Lifetime validation failed. The token is expired.")


def _refused(context: Context, detail: str) -> BlobError:
    login = f"https://{context.cloud.login_hosts[0]}/{context.tenant_id}/oauth2/authorize"
    return BlobError(
        401,
        "InvalidAuthenticationInfo",
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
        detail=detail,
        headers={"WWW-Authenticate": f"Bearer authorization_uri={login} resource_id={_AUDIENCE}"},
    )
