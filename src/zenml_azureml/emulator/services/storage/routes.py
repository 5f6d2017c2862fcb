"""Jobs' logs as blobs of the workspace's storage account: read in ranges by SAS URL, and listed."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.local.private_files import inside
from zenml_azureml.emulator.services.storage.errors import (
    BlobError,
    authentication_failed,
    blob_headers,
    error_response,
    xml_bytes,
)
from zenml_azureml.emulator.services.storage.sas import (
    CONTAINER,
    StorageAccount,
    account_folder,
    account_of,
    sas_period,
)
from zenml_azureml.emulator.state import Job, Workspace

_ACCOUNT = "/{account:st[0-9a-f]{12}}.blob.{suffix:core[.a-z]+}/{container}"
_BLOB_NAME = re.compile(r"ExperimentRun/dcid\.(?P<job>[^/]+)/(?P<path>user_logs/.+)")
#: Files of one job that are shown. Source: "List Blobs": 5,000 on one page, and here is one page.
_MOST_FILES = 5_000
#: Bytes of a log that are in memory at a time.
_MOST_AT_ONCE = 4 * 1024**2
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})")


def routes() -> list[web.RouteDef]:
    """Return the routes of this module; a SAS or the account's key stands for the token of other routes."""
    return [
        web.get(f"{_ACCOUNT}/{{blob:.+}}", get_blob),
        web.head(f"{_ACCOUNT}/{{blob:.+}}", get_blob),
        web.get(_ACCOUNT, list_blobs),
    ]


@dataclass(frozen=True)
class LogBlob:
    """A file that a job has written to its log folder.

    Attributes:
        name: Of the blob.
        file: Path of the file.
        size: In bytes.
        modified: Time of its last write.
        created: Time of its creation.
        etag: Changes with every write, as that of an append blob does.
    """

    name: str
    file: Path
    size: int
    modified: datetime
    created: datetime
    etag: str


def log_blobs(job: Job) -> list[LogBlob]:
    """Return the logs of a job, by name."""
    folder = job.log_folder
    files = sorted(path for path in islice(folder.rglob("*"), _MOST_FILES) if _can_be_shown(path, folder))
    blobs = []
    for path in files:
        with suppress(OSError):  # the job has deleted it meanwhile
            blobs.append(_blob(job, f"{blob_folder(job)}/user_logs/{path.relative_to(folder).as_posix()}", path))
    return blobs


def blob_folder(job: Job) -> str:
    """Return the prefix of a job's files in the container (recorded: history_batchGetResolvedUris.json)."""
    return f"ExperimentRun/dcid.{job.name}"


async def get_blob(request: web.Request) -> web.StreamResponse:
    """Answer a blob, or the part of it that a range asks for; HEAD gives the headers alone."""
    try:
        workspace, account = _account_of(request)
        name = request.match_info["blob"]
        _check_sas(request, account, name)
        return await _answer(request, _find_blob(workspace, name))
    except BlobError as error:
        return error_response(request, error, request.app[CONTEXT].clock.now())


async def list_blobs(request: web.Request) -> web.StreamResponse:
    """Answer the blobs of the container whose names begin with `prefix`, all on one page."""
    try:
        workspace, account = _account_of(request)
        if not account.accepts_shared_key(request.method, request.rel_url.raw_path, request.query, request.headers):
            raise authentication_failed("The MAC signature found in the HTTP request is not valid.")
        prefix = request.query.get("prefix", "")
        found = [blob for job in workspace.jobs.values() for blob in log_blobs(job) if blob.name.startswith(prefix)]
        return web.Response(
            body=xml_bytes(_listing(account, prefix, found)),
            content_type="application/xml",
            headers=blob_headers(request),
        )
    except BlobError as error:
        return error_response(request, error, request.app[CONTEXT].clock.now())


def _account_of(request: web.Request) -> tuple[Workspace, StorageAccount]:
    context, info = request.app[CONTEXT], request.match_info
    for workspace in context.store.workspaces:
        if info["account"] == account_folder(workspace) and info["container"] == CONTAINER:
            return workspace, account_of(workspace, context.base_url)
    raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")


def _check_sas(request: web.Request, account: StorageAccount, name: str) -> None:
    query = request.query
    if "sig" not in query:
        raise BlobError(
            409,
            "PublicAccessNotPermitted",
            "Public access is not permitted on this storage account.",
        )
    if not account.accepts_sas(name, query):
        raise authentication_failed("Signature did not match.")
    try:
        start, expiry = sas_period(query)
    except ValueError:
        raise authentication_failed("Signature fields not well formed.") from None
    now = request.app[CONTEXT].clock.now()
    if not start <= now <= expiry:
        raise authentication_failed(
            f"Signature not valid in the specified time frame: Start [{_http_date(start)}] - "
            f"Expiry [{_http_date(expiry)}] - Current [{_http_date(now)}]"
        )
    if "r" not in query.get("sp", ""):
        raise BlobError(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )


def _find_blob(workspace: Workspace, name: str) -> LogBlob:
    parts = _BLOB_NAME.fullmatch(name)
    job = workspace.find_job(parts["job"]) if parts else None
    if parts and job and job.name == parts["job"]:
        file = job.folder / parts["path"]
        with suppress(OSError):  # the name is too long, or the job has deleted the file meanwhile
            if _can_be_shown(file, job.log_folder):
                return _blob(job, name, file)
    raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")


def _can_be_shown(file: Path, folder: Path) -> bool:
    """True if a path is a file in a folder, links followed: a job must not show what is elsewhere.

    Files whose names are not UTF-8 or have control characters are left out: no blob has such a name.
    """
    try:
        name = file.relative_to(folder).as_posix()
        name.encode()
        return name.isprintable() and inside(folder, name) is not None and file.is_file()
    except (OSError, ValueError):
        return False


def _blob(job: Job, name: str, file: Path) -> LogBlob:
    status = file.stat()
    modified = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    return LogBlob(
        name=name,
        file=file,
        size=status.st_size,
        modified=modified,
        created=job.log_files.setdefault((file, status.st_ino), modified),
        etag=f'"0x8D{status.st_mtime_ns + status.st_size:013X}"',
    )


async def _answer(request: web.Request, blob: LogBlob) -> web.StreamResponse:
    """Answer the current state of a blob: later writes are for the next request."""
    if request.headers.get("If-Match", blob.etag) not in {blob.etag, "*"}:
        raise BlobError(
            412,
            "ConditionNotMet",
            "The condition specified using HTTP conditional header(s) is not met.",
        )
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
    headers = {**blob_headers(request), **_properties(blob)}
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
    status, size = 206 if asked else 200, last - first + 1
    with blob.file.open("rb") as content:
        content.seek(first)
        if size <= _MOST_AT_ONCE or request.method == "HEAD":
            body = b"" if request.method == "HEAD" else content.read(size)
            length = {"Content-Length": str(size)} if request.method == "HEAD" else {}
            return web.Response(status=status, headers={**headers, **length}, body=body)
        answer = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(size)})
        await answer.prepare(request)
        while size > 0 and (part := content.read(min(size, _MOST_AT_ONCE))):
            size -= len(part)
            await answer.write(part)
    return answer


def _properties(blob: LogBlob) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "ETag": blob.etag,
        "Last-Modified": _http_date(blob.modified),
        "x-ms-blob-type": "AppendBlob",
        # Since version 2017-11-09 of the service: so says Microsoft's description of "Get Blob".
        "x-ms-creation-time": _http_date(blob.created),
        "x-ms-lease-state": "available",
        "x-ms-lease-status": "unlocked",
        "x-ms-server-encrypted": "true",
    }


def _listing(account: StorageAccount, prefix: str, blobs: list[LogBlob]) -> ET.Element:
    """Return the body of a listing, as Microsoft describes "List Blobs"."""
    root = ET.Element("EnumerationResults", ServiceEndpoint=f"{account.address}/", ContainerName=CONTAINER)
    ET.SubElement(root, "Prefix").text = prefix
    items = ET.SubElement(root, "Blobs")
    for blob in blobs:
        item = ET.SubElement(items, "Blob")
        ET.SubElement(item, "Name").text = blob.name
        properties = ET.SubElement(item, "Properties")
        for key, value in {
            "Creation-Time": _http_date(blob.created),
            "Last-Modified": _http_date(blob.modified),
            "Etag": blob.etag.strip('"'),
            "Content-Length": str(blob.size),
            "Content-Type": "application/octet-stream",
            "BlobType": "AppendBlob",
            "LeaseStatus": "unlocked",
            "LeaseState": "available",
            "ServerEncrypted": "true",
        }.items():
            ET.SubElement(properties, key).text = value
    ET.SubElement(root, "NextMarker")
    return root


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
