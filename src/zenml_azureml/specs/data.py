"""Specs of a job's inputs and outputs on Azure, and the forms of their paths. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

#: The only label of data assets. Source: azure-ai-ml, `DataOperations`, which resolves no other one.
LATEST = "latest"

_ASSET = re.compile(r"azureml:(?P<name>[^/:@]+)(?::(?P<version>[^/:@]+)|@(?P<label>[^/:@]+))")
_WORKSPACE = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/]+"
_ASSET_ID = re.compile(
    rf"(?:azureml:)?(?P<workspace>{_WORKSPACE})/data/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE
)
_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resourcegroups/[^/]+/(?:providers/[^/]+/)?workspaces/(?P<workspace>[^/]+)/)?"
    r"datastores/(?P<name>[^/]+)(?:/paths)?(?:/.*|)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class DataInput:
    """Data that a job reads.

    Attributes:
        name: The user's name for it.
        path: A data asset, a path in a datastore, or an address. An address may hold a secret, hence not in the `repr`.
        type: `uri_file`, `uri_folder` or `mltable`; None for that of the asset, or `uri_folder`.
        mode: `ro_mount`, `rw_mount`, `download`, `direct`, `eval_mount` or `eval_download`; None for Azure's default.
    """

    name: str
    path: str = field(repr=False)
    type: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class DataOutput:
    """Data that a job writes.

    Attributes:
        name: The user's name for it.
        type: `uri_file`, `uri_folder` or `mltable`.
        path: A path in a datastore; None for one that Azure chooses for each job.
        mode: `rw_mount`, `upload` or `direct`; None for Azure's default.
        register_as: Name of the data asset to register it as, if the job succeeds; None for none.
    """

    name: str
    type: str = "uri_folder"
    path: str | None = None
    mode: str | None = None
    register_as: str | None = None


@dataclass(frozen=True)
class AssetReference:
    """A reference to a data asset.

    Attributes:
        name: Its name.
        version: Its version; None for a label.
        label: Its label; None for a version.
        workspace: ARM id of its workspace; empty for that of the job.
    """

    name: str
    version: str | None = None
    label: str | None = None
    workspace: str = ""


def asset_reference(path: str) -> AssetReference | None:
    """Return the data asset that a path names; None for other paths."""
    found = _ASSET.fullmatch(path)
    if found is not None:
        return AssetReference(found["name"], found["version"], found["label"])
    found = _ASSET_ID.fullmatch(path)
    return AssetReference(found["name"], found["version"], workspace=found["workspace"]) if found else None


def datastore_of(path: str) -> tuple[str, str] | None:
    """Return workspace (empty for that of the job) and name of the datastore in a path; None for other paths."""
    found = _DATASTORE.fullmatch(path)
    return (found["workspace"] or "", found["name"]) if found else None


def without_query(uri: str) -> str:
    """Return an address without its query, which may be a signature that grants access, and without a password."""
    parts = urlsplit(uri)
    if "://" not in uri or not (parts.query or parts.fragment or "@" in parts.netloc):
        return uri
    is_container = parts.scheme.lower() in ("wasb", "wasbs", "abfs", "abfss")  # CONTAINER@ACCOUNT
    netloc = parts.netloc if is_container else parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc, query="", fragment=""))
