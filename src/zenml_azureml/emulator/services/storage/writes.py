"""Operations of blob storage that write blobs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.services.storage.access import http_date
from zenml_azureml.emulator.services.storage.blocks import (
    StagedBlocks,
    assemble,
    decoded_id,
    find_parts,
    read_block_list,
)
from zenml_azureml.emulator.services.storage.errors import BlobError, blob_headers
from zenml_azureml.emulator.services.storage.files import Blob
from zenml_azureml.emulator.services.storage.properties import BlobProperties, drop_properties, write_properties
from zenml_azureml.emulator.services.storage.targets import Target

#: Bytes of a list of blocks, which has at most 50,000 of them.
_LONGEST_LIST = 16 * 1024**2
_METADATA = "x-ms-meta-"
#: Source: "Naming and referencing containers, blobs, and metadata": names are C# identifiers.
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET_HEADERS = {
    "x-ms-blob-content-type": "Content-Type",
    "x-ms-blob-content-encoding": "Content-Encoding",
    "x-ms-blob-content-language": "Content-Language",
    "x-ms-blob-content-disposition": "Content-Disposition",
    "x-ms-blob-cache-control": "Cache-Control",
    "x-ms-blob-content-md5": "Content-MD5",
}


async def put_blob(request: web.Request, target: Target) -> web.StreamResponse:
    """Store a whole blob, an empty append blob, or a copy of a blob."""
    existing = target.write_to(request)
    if "x-ms-copy-source" in request.headers:
        return await _copy(request, target)
    kind = request.headers.get("x-ms-blob-type", "")
    if kind not in ("BlockBlob", "AppendBlob"):
        if kind == "PageBlob":
            raise BlobError(501, "NotEmulated", "Page blobs are not emulated.")
        raise BlobError(400, "MissingRequiredHeader", "An HTTP header that's mandatory for this request is missing.")
    properties = _properties(request, kind)
    partial = target.files.uploads() / uuid.uuid4().hex
    try:
        with partial.open("wb") as content:
            digest = await _receive(request, content)
        if kind == "BlockBlob":
            properties.headers.setdefault("Content-MD5", digest)
        return _created(request, _put(target, partial, properties, existing), digest)
    finally:
        partial.unlink(missing_ok=True)


async def put_block(request: web.Request, target: Target) -> web.StreamResponse:
    """Store a block until its list is committed."""
    block = request.query.get("blockid", "")
    decoded_id(block)  # it must be one
    target.files.file(target.container, target.name)  # its name must be one
    staged = StagedBlocks(target.files.blocks(target.container, target.name))
    # Source: "Put Block": the answer has the MD5 of the block only if the request has it.
    has_digest = "Content-MD5" in request.headers
    with staged.begin(request.content_length) as content:
        offset = content.tell()
        digest = await _receive(request, content, has_digest=has_digest)
        staged.add(block, content, offset)
    own = {"Content-MD5": digest} if has_digest else {}
    return web.Response(status=201, headers={**blob_headers(request), **own})


async def put_block_list(request: web.Request, target: Target) -> web.StreamResponse:
    """Make a blob of blocks."""
    existing = target.write_to(request)
    wanted = read_block_list(await _list_of(request))
    staged = StagedBlocks(target.files.blocks(target.container, target.name))
    parts = find_parts(wanted, staged, existing)
    properties = _properties(request, "BlockBlob")
    properties.blocks = [(part.block, part.size) for part in parts]
    partial = target.files.uploads() / uuid.uuid4().hex
    claimed = partial.with_suffix(".blocks")
    try:
        blob = _put(target, await assemble(parts, staged, partial, claimed), properties, existing)
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(claimed, ignore_errors=True)
    shutil.rmtree(staged.folder, ignore_errors=True)
    return _created(request, blob)


async def append_block(request: web.Request, target: Target) -> web.StreamResponse:
    """Add to the end of an append blob."""
    blob = target.blob()
    target.write_to(request)
    if blob.properties.blob_type != "AppendBlob":
        raise BlobError(409, "InvalidBlobType", "The blob type is invalid for this operation.")
    expected = request.headers.get("x-ms-blob-condition-appendpos", str(blob.size))
    if expected != str(blob.size):
        raise BlobError(412, "AppendPositionConditionNotMet", "The append position condition specified was not met.")
    partial = target.files.uploads() / uuid.uuid4().hex
    try:
        with partial.open("wb") as added:
            await _receive(request, added)
        with blob.file.open("ab") as content, partial.open("rb") as part:
            shutil.copyfileobj(part, content)
    finally:
        partial.unlink(missing_ok=True)
    changed = _note(target, blob)
    own = {"x-ms-blob-append-offset": str(blob.size), "x-ms-blob-committed-block-count": "1"}
    return _created(request, changed, headers=own)


async def set_metadata(request: web.Request, target: Target) -> web.StreamResponse:
    """Replace the metadata of a blob."""
    blob = target.blob()
    target.write_to(request)
    blob.properties.metadata = _metadata(request.headers)
    return _created(request, _touch(target, blob), status=200)


async def set_headers(request: web.Request, target: Target) -> web.StreamResponse:
    """Replace the content type and so on of a blob."""
    blob = target.blob()
    target.write_to(request)
    blob.properties.headers = _set_headers(request.headers)
    return _created(request, _touch(target, blob), status=200)


async def delete_blob(request: web.Request, target: Target) -> web.StreamResponse:
    """Delete a blob, and the folders that are empty then."""
    blob = target.blob()
    target.write_to(request)
    blob.file.unlink(missing_ok=True)
    drop_properties(target.files.properties_path(target.container, target.name))
    top = target.files.container(target.container)
    with suppress(OSError):  # the first that is not empty
        for folder in blob.file.parents:
            if folder == top or top not in folder.parents:
                break
            folder.rmdir()
    return web.Response(status=202, headers={**blob_headers(request), "x-ms-delete-type-permanent": "true"})


async def _copy(request: web.Request, target: Target) -> web.StreamResponse:
    """Copy a blob of the same account at once."""
    existing = target.files.find(target.container, target.name)
    path = unquote(urlsplit(request.headers["x-ms-copy-source"]).path).strip("/")
    here = urlsplit(target.account.address).path.strip("/")
    container, _, name = path.removeprefix(f"{here}/").partition("/")
    source = target.files.find(container, name) if target.files.has_container(container) else None
    if source is None:
        # Guess: the answer for a source elsewhere, which the emulator does not read.
        raise BlobError(404, "CannotVerifyCopySource", "The specified blob does not exist.")
    partial = target.files.uploads() / uuid.uuid4().hex
    try:
        await asyncio.to_thread(shutil.copyfile, source.file, partial)
        properties = _properties(request, source.properties.blob_type)
        properties.headers = dict(source.properties.headers)
        properties.metadata = properties.metadata or dict(source.properties.metadata)
        blob = _put(target, partial, properties, existing)
    finally:
        partial.unlink(missing_ok=True)
    own = {"x-ms-copy-id": str(uuid.uuid4()), "x-ms-copy-status": "success"}
    # "Put Blob From URL" has the type of the blob, "Copy Blob" has none.
    return _created(request, blob, status=201 if "x-ms-blob-type" in request.headers else 202, headers=own)


async def _receive(request: web.Request, content: BinaryIO, *, has_digest: bool = True) -> str:
    """Write the body of a request to a file.

    Returns:
        Its MD5; empty if it is not wanted, for it costs more than the rest.

    Raises:
        BlobError: 400, if its MD5 is not the one that the client gives.
    """
    digest = hashlib.md5(usedforsecurity=False)
    async for chunk in _chunks(request):
        content.write(chunk)
        if has_digest:
            digest.update(chunk)
    if not has_digest:
        return ""
    found = base64.b64encode(digest.digest()).decode()
    if request.headers.get("Content-MD5", found) != found:
        raise BlobError(
            400,
            "Md5Mismatch",
            "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
        )
    return found


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body of a request, of any length, also if a middleware has read it."""
    if request.content.at_eof():
        yield await request.read()
        return  # All empty bodies of aiohttp are one object, whose chunks end only the first time.
    async for chunk, _ in request.content.iter_chunks():
        yield chunk


async def _list_of(request: web.Request) -> bytes:
    body = b""
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > _LONGEST_LIST:
            raise BlobError(413, "RequestBodyTooLarge", "The request body is too large.")
    return body


def _put(target: Target, partial: Path, properties: BlobProperties, existing: Blob | None) -> Blob:
    """Make a file a blob. The properties are there first: they apply once the file is there."""
    file = target.files.file(target.container, target.name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if existing is not None and existing.properties.created:
            properties.created = existing.properties.created
        status = partial.stat()
        write_properties(target.files.properties_path(target.container, target.name), properties, status)
        partial.replace(file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BlobError(
            409, "ResourceTypeMismatch", "The specified path is a folder of other blobs, or a part of it is a blob."
        ) from error
    return target.blob()


def _touch(target: Target, blob: Blob) -> Blob:
    """Note a change of a blob's properties, by which its etag changes too."""
    os.utime(blob.file)
    return _note(target, blob)


def _note(target: Target, blob: Blob) -> Blob:
    path = target.files.properties_path(target.container, target.name)
    write_properties(path, blob.properties, blob.file.stat())
    return target.blob()


def _created(
    request: web.Request,
    blob: Blob,
    md5: str = "",
    *,
    status: int = 201,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    own = {"ETag": blob.etag, "Last-Modified": http_date(blob.modified), "x-ms-request-server-encrypted": "true"}
    own |= {"Content-MD5": md5} if md5 else {}
    return web.Response(status=status, headers={**blob_headers(request), **own, **(headers or {})})


def _properties(request: web.Request, kind: str) -> BlobProperties:
    now = request.app[CONTEXT].clock.now().isoformat()
    return BlobProperties(kind, now, _set_headers(request.headers), _metadata(request.headers))


def _set_headers(headers: Mapping[str, str]) -> dict[str, str]:
    given = {name.lower(): value for name, value in headers.items()}
    found = {own: given[name] for name, own in _SET_HEADERS.items() if given.get(name)}
    return {"Content-Type": "application/octet-stream", **found}


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name[len(_METADATA) :]: value for name, value in headers.items() if name.lower().startswith(_METADATA)}
    if not all(_METADATA_NAME.fullmatch(name) for name in found):
        raise BlobError(
            400, "InvalidMetadata", "The metadata specified is invalid. It has characters that are not permitted."
        )
    return found
