"""Operations of blob storage on the account and on containers."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree as ET

from aiohttp import web

from zenml_azureml.emulator.services.storage.access import http_date
from zenml_azureml.emulator.services.storage.errors import BlobError, blob_headers, xml_bytes
from zenml_azureml.emulator.services.storage.targets import Target


async def list_containers(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer all containers, as Microsoft describes "List Containers"; here is one page."""
    root = ET.Element("EnumerationResults", ServiceEndpoint=f"{target.account.address}/")
    prefix = request.query.get("prefix", "")
    if prefix:
        ET.SubElement(root, "Prefix").text = prefix
    items = ET.SubElement(root, "Containers")
    for name in target.files.containers():
        if name.startswith(prefix):
            container = ET.SubElement(items, "Container")
            ET.SubElement(container, "Name").text = name
            properties = ET.SubElement(container, "Properties")
            modified = _modified(target.files.container(name))
            for key, value in {
                "Last-Modified": http_date(modified),
                "Etag": _etag(modified),
                "LeaseStatus": "unlocked",
                "LeaseState": "available",
                "HasImmutabilityPolicy": "false",
                "HasLegalHold": "false",
            }.items():
                ET.SubElement(properties, key).text = value
    ET.SubElement(root, "NextMarker")
    return web.Response(body=xml_bytes(root), content_type="application/xml", headers=blob_headers(request))


async def account_properties(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer the kind of the account."""
    del target
    own = {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"}
    return web.Response(headers={**blob_headers(request), **own})


async def create(request: web.Request, target: Target) -> web.StreamResponse:
    """Create a container."""
    if target.files.has_container(target.container):
        raise BlobError(409, "ContainerAlreadyExists", "The specified container already exists.")
    target.files.container(target.container).mkdir(parents=True, exist_ok=True)
    return web.Response(status=201, headers={**blob_headers(request), **_headers(target)})


async def properties(request: web.Request, target: Target) -> web.StreamResponse:
    """Answer the properties of a container."""
    own = {
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
    }
    return web.Response(headers={**blob_headers(request), **_headers(target), **own})


async def delete(request: web.Request, target: Target) -> web.StreamResponse:
    """Delete a container with its blobs."""
    shutil.rmtree(target.files.container(target.container), ignore_errors=True)
    return web.Response(status=202, headers=blob_headers(request))


def _headers(target: Target) -> dict[str, str]:
    modified = _modified(target.files.container(target.container))
    return {"ETag": _etag(modified), "Last-Modified": http_date(modified)}


def _modified(folder: Path) -> datetime:
    # Guess: the time of a container that nothing was written to.
    moment = folder.stat().st_mtime if folder.is_dir() else 0
    return datetime.fromtimestamp(moment, timezone.utc)


def _etag(modified: datetime) -> str:
    return f'"0x8D{int(modified.timestamp() * 1e6):013X}"'
