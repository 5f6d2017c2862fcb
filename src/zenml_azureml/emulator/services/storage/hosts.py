"""Storage accounts at hosts of their own, which clients reach through the proxy only: what a sign-in can see there.

What is in the accounts is served below the emulator's own address (see `sas.py`), with keys and signatures.
Forms and messages: Microsoft's API reference ("List Containers", "Authorize with Microsoft Entra ID").
"""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime
from xml.etree import ElementTree as ET

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.other_hosts import service_with
from zenml_azureml.emulator.services.entra.identity import InvalidTokenError
from zenml_azureml.emulator.services.storage.errors import BlobError, blob_headers, error_response, xml_bytes
from zenml_azureml.emulator.services.storage.sas import CONTAINER, account_folder

_AUDIENCE = "https://storage.azure.com"


def blob_service(context: Context) -> web.Application:
    """Return the service at the hosts of storage accounts.

    Args:
        context: State for its handlers.
    """
    return service_with(context, _answer)


async def _answer(request: web.Request) -> web.Response:
    try:
        return _list_containers(request)
    except BlobError as error:
        return error_response(request, error, request.app[CONTEXT].clock.now())


def _list_containers(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    _check_token(request, context)
    account = request.host.partition(".")[0]
    found = [workspace for workspace in context.store.workspaces if account_folder(workspace) == account]
    wanted = (request.method, request.path, request.query.get("comp"))
    if not found or wanted != ("GET", "/", "list"):
        # Guess: the code. A host without an account would not even have an address.
        raise BlobError(404, "ResourceNotFound", "The specified resource does not exist.")
    root = ET.Element("EnumerationResults", ServiceEndpoint=f"https://{request.host}/")
    container = ET.SubElement(ET.SubElement(root, "Containers"), "Container")
    ET.SubElement(container, "Name").text = CONTAINER
    properties = ET.SubElement(container, "Properties")
    for key, value in {
        "Last-Modified": format_datetime(found[0].created_at.astimezone(timezone.utc), usegmt=True),
        "Etag": f'"0x8D{int(found[0].created_at.timestamp()):013X}"',
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "HasImmutabilityPolicy": "false",
        "HasLegalHold": "false",
    }.items():
        ET.SubElement(properties, key).text = value
    ET.SubElement(root, "NextMarker")
    return web.Response(body=xml_bytes(root), content_type="application/xml", headers=blob_headers(request))


def _check_token(request: web.Request, context: Context) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BlobError(409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.")
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
