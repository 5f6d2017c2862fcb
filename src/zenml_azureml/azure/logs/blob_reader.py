"""Ranged reads of a blob by its SAS URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, DecodeError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.rest import HttpRequest, HttpResponse

from zenml_azureml.safe_text import safe_text

_SIGNATURE = re.compile(r"\?[^\s'\")]*\bsig=[^\s'\")]*")
_CONTENT_RANGE_OF_ANY = re.compile(r"bytes (?:\*|\d{1,18}-\d{1,18})/(?:\*|\d{1,18})")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")

#: Bytes of the largest part that is read, even if a server sends more than was requested.
LARGEST_PART = 4 * 1024 * 1024

#: Seconds that reading one part may take.
LONGEST_READ_SECONDS = 120.0

#: Every answer of storage has this header; the page of a proxy does not. But some proxies remove `x-ms-*`.
_VERSION_HEADER = "x-ms-version"

#: Signs of storage that are no `x-ms-*` headers: its server, its kind of ETag, its body of an error.
_SERVER = "Windows-Azure-Blob/"
_ETAG = re.compile(r'"?0x[0-9A-Fa-f]+"?')
_ERROR = re.compile(rb"<Error>\s*<Code>(\w+)</Code>")

_MESSAGE = re.compile(r"<Message>(.*?)(?:\n|</Message>)", re.DOTALL)


@dataclass(frozen=True)
class BlobPart:
    """A part of a blob.

    Attributes:
        data: The bytes; empty if there are none at that offset.
        size: Bytes of the whole blob.
        created: Time of the blob's creation, as storage writes it; empty if it does not. A blob that is deleted and
            created again under its old name has another one.
    """

    data: bytes
    size: int
    created: str = ""


def read_blob(
    pipeline: PipelineClient[HttpRequest, HttpResponse], url: str, offset: int, most_bytes: int
) -> BlobPart | None:
    """Read a part of a blob.

    Args:
        pipeline: Sends the request; must not add a token, because the SAS URL contains the permission.
        url: SAS URL.
        offset: Bytes to skip at the beginning.
        most_bytes: Largest number of bytes to read.

    Returns:
        The part; None if there is no such blob (yet).

    Raises:
        azure.core.exceptions.AzureError: If the blob cannot be read. Does not contain the URL's signature.
    """
    last = offset + most_bytes - 1
    # Compressed, a small answer could be a large part.
    headers = {"Range": f"bytes={offset}-{last}", "Accept-Encoding": "identity"}
    response = _send(pipeline, HttpRequest("GET", url, headers=headers))
    if not _is_from_storage(response):
        response.raise_for_status()
        raise DecodeError("The answer is not from Azure Storage; it may be the answer of a proxy.")
    if response.status_code == 404:
        return None
    if response.status_code == 416:  # nothing at that offset; has the blob's size (RFC 9110, 15.5.17)
        return BlobPart(b"", _whole_size(response, unknown=offset))
    response.raise_for_status()
    content: bytes = response.content
    created = str(response.headers.get("x-ms-creation-time") or "")
    if response.status_code == 206:
        return BlobPart(content, _checked_size(response, offset, last), created)
    if response.status_code != 200:
        raise DecodeError(f"Storage answered a read with the status {response.status_code}.")
    # A server may ignore the range and send everything, if that is no more than was requested.
    return BlobPart(content[offset : last + 1], len(content), created)


def storage_error_message(error: HttpResponseError) -> str:
    """Return storage's message about a refusal, which is in XML: `(AuthorizationFailure) This request is ...`."""
    response = cast("HttpResponse | None", error.response)
    if response is None:
        return safe_text(str(error.message))
    body = _ERROR.search(response.content)
    code = str(response.headers.get("x-ms-error-code") or (body[1].decode() if body else ""))
    found = _MESSAGE.search(response.content.decode(errors="replace"))
    message = found[1].strip() if found else str(error.message)
    return safe_text(f"({code}) {message}" if code else message)


def _is_from_storage(response: HttpResponse) -> bool:
    """Return False for an answer of something else, such as the page of a proxy."""
    if _VERSION_HEADER in response.headers:
        return True
    if response.status_code in (206, 416):  # an answer to the range; a page has none
        return _CONTENT_RANGE_OF_ANY.fullmatch(str(response.headers.get("Content-Range") or "").strip()) is not None
    if response.status_code >= 400:
        return _ERROR.search(response.content) is not None
    headers = response.headers
    return str(headers.get("Server") or "").startswith(_SERVER) or bool(_ETAG.fullmatch(str(headers.get("ETag") or "")))


def _send(pipeline: PipelineClient[HttpRequest, HttpResponse], request: HttpRequest) -> HttpResponse:
    try:
        response: HttpResponse = pipeline.send_request(
            request, most_bytes=LARGEST_PART, most_seconds=LONGEST_READ_SECONDS
        )
        return response
    except HttpResponseError:
        raise
    except AzureError as error:
        # The message of the network stack contains the whole URL, and so its signature.
        words = _SIGNATURE.sub("", str(error))
        kind = ServiceRequestError if isinstance(error, ServiceRequestError) else ServiceResponseError
    # Outside of the `except`, so that the first error is not its context.
    raise kind(words)


def _checked_size(response: HttpResponse, offset: int, last: int) -> int:
    """Return the size of the blob, and check that the requested part was sent.

    Raises:
        DecodeError: If the headers name another part, or a shorter one that is not the end.
    """
    found = _CONTENT_RANGE.fullmatch(str(response.headers.get("Content-Range") or "").strip())
    length = len(response.content)
    if found is not None and length:
        first, end, size = (int(found[1]), int(found[2]), int(found[3]))
        if first == offset and end == offset + length - 1 and end == min(last, size - 1):
            return size
    claimed = response.headers.get("Content-Range")
    raise DecodeError(f"Storage sent {length} bytes as {claimed!r}; bytes {offset}-{last} were asked for.")


def _whole_size(response: HttpResponse, *, unknown: int) -> int:
    total = str(response.headers.get("Content-Range") or "").rpartition("/")[2]
    return int(total) if total.isdecimal() and len(total) <= 18 else unknown
