"""Operations of blob storage that read blobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import islice
from xml.etree import ElementTree as ET

from aiohttp import web

from zenml_azureml.emulator.services.storage.access import http_date
from zenml_azureml.emulator.services.storage.blocks import StagedBlocks
from zenml_azureml.emulator.services.storage.errors import BlobError, blob_headers, xml_bytes
from zenml_azureml.emulator.services.storage.files import Blob
from zenml_azureml.emulator.services.storage.targets import Target, check_conditions

#: Bytes of a blob that are in memory at a time.
_MOST_AT_ONCE = 4 * 1024**2
#: Bytes that are encrypted at a time: TLS has buffers of its own for a part, and large ones are slow.
_MOST_IN_A_PART = 256 * 1024
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})")
#: Source: "List Blobs": 5,000 on one page.
_MOST_ON_A_PAGE = 5_000


async def get_blob(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer the current state of a blob, or the part that a range asks for; later writes are for the next request."""
    blob = target.blob()
    check_conditions(request, blob)
    first, last = 0, blob.size - 1
    # `x-ms-range` wins over `Range`: so says Microsoft's description of the service.
    wanted = request.headers.get("x-ms-range") or request.headers.get("Range") or ""
    asked = _RANGE.fullmatch(wanted)
    if asked:
        first = int(asked["first"])
        last = min(last, int(asked["last"])) if asked["last"] else last
        if first > last:
            raise BlobError(
                416,
                "InvalidRange",
                "The range specified is invalid for the current size of the resource.",
                headers={"Content-Range": f"bytes */{blob.size}"},
            )
    # Guess: any other form of range is overlooked, as HTTP allows.
    headers = {**blob_headers(request), **_headers(blob)}
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
        if "Content-MD5" in headers:
            headers["x-ms-blob-content-md5"] = headers.pop("Content-MD5")
    status, size = 206 if asked else 200, last - first + 1
    if request.method == "HEAD":
        return web.Response(status=status, headers={**headers, "Content-Length": str(size)})
    with blob.file.open("rb") as content:
        content.seek(first)
        if size <= _MOST_IN_A_PART:
            return web.Response(status=status, headers=headers, body=content.read(size))
        answer = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(size)})
        await answer.prepare(request)
        while size > 0 and (read := await asyncio.to_thread(content.read, min(size, _MOST_AT_ONCE))):
            size -= len(read)
            for begin in range(0, len(read), _MOST_IN_A_PART):
                await answer.write(memoryview(read)[begin : begin + _MOST_IN_A_PART])
    return answer


async def get_properties(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer the metadata of a blob alone."""
    blob = target.blob()
    metadata = {f"x-ms-meta-{key}": value for key, value in blob.properties.metadata.items()}
    headers = {"ETag": blob.etag, "Last-Modified": http_date(blob.modified), **metadata}
    return web.Response(headers={**blob_headers(request), **headers})


async def get_blocks(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer the blocks of a blob, as "Get Block List" describes it."""
    blob = target.files.find(target.container, target.name)
    staged = StagedBlocks(target.files.blocks(target.container, target.name)).parts()
    if blob is None and not staged:
        target.blob()
    root, kind = ET.Element("BlockList"), request.query.get("blocklisttype", "committed")
    lists = {
        "CommittedBlocks": blob.properties.blocks if blob and kind != "uncommitted" else [],
        "UncommittedBlocks": [(part.block, part.size) for part in staged.values()] if kind != "committed" else [],
    }
    for name, blocks in lists.items():
        items = ET.SubElement(root, name)
        for block, size in blocks:
            item = ET.SubElement(items, "Block")
            ET.SubElement(item, "Name").text = block
            ET.SubElement(item, "Size").text = str(size)
    own = {"ETag": blob.etag, "x-ms-blob-content-length": str(blob.size)} if blob else {}
    return web.Response(body=xml_bytes(root), content_type="application/xml", headers={**blob_headers(request), **own})


async def list_blobs(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer one page of the blobs of the container, in the order of their names."""
    return web.Response(
        body=await asyncio.to_thread(_listing, request, target),
        content_type="application/xml",
        headers=blob_headers(request),
    )


def _listing(request: web.Request, target: Target) -> bytes:
    """Return the body of a listing, as Microsoft describes "List Blobs"."""
    query = request.query
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    most = _number(query.get("maxresults", str(_MOST_ON_A_PAGE)))
    root = ET.Element(
        "EnumerationResults", ServiceEndpoint=f"{target.account.address}/", ContainerName=target.container
    )
    for key, value in (("Prefix", prefix), ("Marker", marker), ("Delimiter", delimiter)):
        if value or key == "Prefix":
            ET.SubElement(root, key).text = value
    if "maxresults" in query:
        ET.SubElement(root, "MaxResults").text = str(most)
    items = ET.SubElement(root, "Blobs")
    found = _grouped(target.files.blobs(target.container, prefix), prefix, delimiter)
    # The marker is the first name of the next page.
    page = list(islice((one for one in found if _name(one) >= marker), most + 1))
    with_metadata = "metadata" in query.get("include", "").split(",")
    for one in page[:most]:
        if isinstance(one, str):
            ET.SubElement(ET.SubElement(items, "BlobPrefix"), "Name").text = one
        else:
            _add(items, one, with_metadata)
    ET.SubElement(root, "NextMarker").text = _name(page[most]) if len(page) > most else None
    return xml_bytes(root)


def _grouped(blobs: Iterator[Blob], prefix: str, delimiter: str) -> Iterator[Blob | str]:
    """Yield blobs, or the common beginning of those that have the delimiter after the prefix."""
    last = ""
    for blob in blobs:
        head, found, _ = blob.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if not found:
            yield blob
        elif (group := f"{prefix}{head}{delimiter}") != last:
            last = group
            yield group


def _name(one: Blob | str) -> str:
    return one if isinstance(one, str) else one.name


def _add(items: ET.Element, blob: Blob, with_metadata: bool) -> None:
    item = ET.SubElement(items, "Blob")
    ET.SubElement(item, "Name").text = blob.name
    properties = ET.SubElement(item, "Properties")
    own = blob.properties.headers
    for key, value in {
        "Creation-Time": http_date(blob.created),
        "Last-Modified": http_date(blob.modified),
        "Etag": blob.etag.strip('"'),
        "Content-Length": str(blob.size),
        "Content-Type": own.get("Content-Type", ""),
        "Content-Encoding": own.get("Content-Encoding", ""),
        "Content-Language": own.get("Content-Language", ""),
        "Content-MD5": own.get("Content-MD5", ""),
        "Cache-Control": own.get("Cache-Control", ""),
        "Content-Disposition": own.get("Content-Disposition", ""),
        "BlobType": blob.properties.blob_type,
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "true",
    }.items():
        ET.SubElement(properties, key).text = value
    if with_metadata and blob.properties.metadata:
        metadata = ET.SubElement(item, "Metadata")
        for key, value in blob.properties.metadata.items():
            ET.SubElement(metadata, key).text = value


def _headers(blob: Blob) -> dict[str, str]:
    return {
        **blob.properties.headers,
        "Accept-Ranges": "bytes",
        "ETag": blob.etag,
        "Last-Modified": http_date(blob.modified),
        "x-ms-blob-type": blob.properties.blob_type,
        # Since version 2017-11-09 of the service: so says Microsoft's description of "Get Blob".
        "x-ms-creation-time": http_date(blob.created),
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "true",
        **{f"x-ms-meta-{key}": value for key, value in blob.properties.metadata.items()},
    }


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= _MOST_ON_A_PAGE:
        raise BlobError(
            400,
            "OutOfRangeQueryParameterValue",
            "One of the query parameters specified in the request URI is outside the permissible range.",
        )
    return int(text)
