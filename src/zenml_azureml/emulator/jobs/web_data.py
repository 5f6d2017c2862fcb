"""Inputs of jobs from the web: files, and folders of public blob containers. No credential is sent."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import aiohttp
from yarl import URL

from zenml_azureml.emulator.jobs.data_errors import DataAccessError, Reason

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)
_CHUNK = 1024**2
_REASONS: dict[int, Reason] = {401: "PermissionDenied", 403: "PermissionDenied", 409: "PermissionDenied"}


async def download(address: str, path: Path, *, is_folder: bool) -> None:
    """Download an input.

    Args:
        address: Its address. That of a folder is below a blob container that anyone can list.
        path: The file or the folder to make of it; its parent exists.
        is_folder: True for a folder.

    Raises:
        DataAccessError: If it cannot be had.
    """
    try:
        # One of its own: aiohttp's keeps what the variables of certificates said when it was imported.
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
        async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=True) as session:
            if is_folder:
                await _download_folder(session, address, path)
            else:
                await _download_file(session, address, path)
    except (aiohttp.ClientError, TimeoutError, ValueError, ET.ParseError) as error:
        raise DataAccessError("ConnectionFailure", f"{type(error).__name__}: {error}") from error


async def _download_file(session: aiohttp.ClientSession, address: str, path: Path) -> None:
    async with session.get(URL(address, encoded=True)) as answer:
        _check(answer)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            async for part in answer.content.iter_chunked(_CHUNK):
                file.write(part)


async def _download_folder(session: aiohttp.ClientSession, address: str, folder: Path) -> None:
    parts = urlsplit(address)
    container, _, prefix = parts.path.strip("/").partition("/")
    base = f"{parts.scheme}://{parts.netloc}/{container}"
    prefix = f"{prefix}/" if prefix else ""
    marker, found = "", False
    while True:
        query = {"restype": "container", "comp": "list", "prefix": prefix, "marker": marker}
        async with session.get(base, params=query) as answer:
            _check(answer)
            root = ET.fromstring(await answer.text(encoding="utf-8-sig"))  # noqa: S314 - expat refuses entity bombs
        for name in filter(None, (element.text for element in root.iterfind("Blobs/Blob/Name"))):
            target = (folder / name.removeprefix(prefix)).resolve()
            if target.is_relative_to(folder.resolve()) and not name.endswith("/"):
                found = True
                await _download_file(session, f"{base}/{quote(name)}", target)
        marker = root.findtext("NextMarker") or ""
        if not marker:
            break
    if not found:
        raise DataAccessError("NotFound", f"there is no blob below {address}")


def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 500:
        raise DataAccessError("ConnectionFailure", f"HTTP status {answer.status}")
    if answer.status >= 400:
        raise DataAccessError(_REASONS.get(answer.status, "NotFound"), f"HTTP status {answer.status}")
