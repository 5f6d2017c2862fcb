"""Refusals of Azure Blob Storage: XML bodies and the headers of that service."""

from __future__ import annotations

import uuid
from datetime import datetime
from xml.etree import ElementTree as ET

from aiohttp import web

#: Version of the service that answers a request which asks for none.
_VERSION = "2021-12-02"


class BlobError(Exception):
    """A refusal by the storage service.

    Attributes:
        status: HTTP status.
        code: E.g. `BlobNotFound`.
        message: Its message.
        detail: `AuthenticationErrorDetail`, if there is one.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers or {}


def authentication_failed(detail: str) -> BlobError:
    """Return the refusal of a signature (recorded in public SDK tests: the message and the detail)."""
    return BlobError(
        403,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header "
        "is formed correctly including the signature.",
        detail=detail,
    )


def blob_headers(request: web.Request) -> dict[str, str]:
    """Return the headers of every answer of the storage service."""
    return {
        "Server": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0",
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-version": request.headers.get("x-ms-version", _VERSION),
    }


def error_response(request: web.Request, error: BlobError, now: datetime) -> web.Response:
    """Return a refusal as the storage service writes it; no body for a HEAD."""
    headers = {**blob_headers(request), "x-ms-error-code": error.code, **error.headers}
    root = ET.Element("Error")
    ET.SubElement(root, "Code").text = error.code
    ET.SubElement(
        root, "Message"
    ).text = f"{error.message}\nRequestId:{headers['x-ms-request-id']}\nTime:{now:%Y-%m-%dT%H:%M:%S.%fZ}"
    if error.detail:
        ET.SubElement(root, "AuthenticationErrorDetail").text = error.detail
    return web.Response(
        status=error.status,
        reason=error.message.split(". ")[0],
        body=b"" if request.method == "HEAD" else xml_bytes(root),
        content_type="application/xml",
        headers=headers,
    )


def xml_bytes(root: ET.Element) -> bytes:
    """Return an XML body that begins with a byte order mark, as that of the service does."""
    head = '\ufeff<?xml version="1.0" encoding="utf-8"?>'
    return (head + ET.tostring(root, encoding="unicode")).encode()
