"""Data assets of a workspace: one request finds a version, or what a label means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.arm.client import DATA, ResourceManager
from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import error_message, is_missing_workspace, to_azureml_error
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import safe_name
from zenml_azureml.specs.data import AssetReference

#: The newest version first. Source: azure-ai-ml, for which `latest` is the version that was created last.
_NEWEST = f"&$orderBy={quote('createdtime desc')}&$top=1&listViewType=ActiveOnly"


@dataclass(frozen=True)
class FoundAsset:
    """A version of a data asset.

    Attributes:
        name: Its name.
        version: Its version.
        type: `uri_file`, `uri_folder` or `mltable`; empty if unknown.
        uri: Address of its data. It may hold a secret, hence not in the `repr`.
    """

    name: str
    version: str
    type: str = ""
    uri: str = field(default="", repr=False)


def find_asset(connection: WorkspaceConnection, reference: AssetReference, where: str) -> FoundAsset:
    """Find a version of a data asset, or the latest one if the reference has a label. One request.

    Args:
        connection: The workspace.
        reference: The asset.
        where: The setting that names it, e.g. `inputs['train']`.

    Raises:
        AzureMLError: If it does not exist, or the credential may not read it.
        AzureError: If Azure cannot be reached.
    """
    address = connection.address
    path = f"{reference.workspace or address.path}/data/{quote(reference.name, safe='')}/versions"
    manager, what = ResourceManager(connection), f"the data asset `{reference.name}`"
    try:
        with connection.reading():
            if reference.version is not None:
                return _asset(reference.name, manager.get(f"{path}/{quote(reference.version, safe='')}", DATA))
            newest = manager.get(path, DATA, _NEWEST).get("value") or []
            if newest:
                return _asset(reference.name, newest[0])
            message = ""
    except ResourceNotFoundError as error:
        if is_missing_workspace(error) and not reference.workspace:
            raise to_azureml_error(f"look up {what}", error, address) from error
        message = error_message(error)
    except AzureError as error:
        raise to_azureml_error(f"look up {what} of `{where}`", error, address) from error
    which = f"no version `{reference.version}` of {what}" if reference.version else f"no version of {what}"
    home = reference.workspace.rpartition("/")[2] or address.name
    command = az_ml(address, "ml data list", name=reference.name)
    raise AzureMLError(
        f"`{where}`: the workspace `{home}` has {which}.",
        azure_message=message,
        hint=f"Correct the setting. List the versions of the asset:\n{command}",
    )


def _asset(name: str, body: Mapping[str, Any]) -> FoundAsset:
    properties = body.get("properties") or {}
    return FoundAsset(
        name,
        safe_name(str(body["name"])),
        safe_name(str(properties.get("dataType") or "")),
        str(properties.get("dataUri") or ""),
    )
