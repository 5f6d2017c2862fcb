"""Reads computes of a workspace."""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.compute.errors import errors_of
from zenml_azureml.azure.compute.mapping import found_compute
from zenml_azureml.azure.compute.state import FoundCompute
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import is_missing_workspace

#: API version for the fields of a compute that the SDK drops: the messages of its errors, and the names of kinds that
#: the SDK does not know.
_API_VERSION = "2024-04-01"


def find_compute(connection: WorkspaceConnection, name: str) -> FoundCompute | None:
    """Return the compute of that name, or None. One request.

    Raises:
        azure.core.exceptions.AzureError: If the workspace is missing, or Azure does not answer.
    """
    try:
        with connection.reading():
            return found_compute(connection.client.compute.get(name))
    except ResourceNotFoundError as error:
        if is_missing_workspace(error):
            raise
        return None


def azure_account(connection: WorkspaceConnection, found: FoundCompute) -> str:
    """Return Azure's error messages about a compute. One request."""
    return errors_of(_resource(connection, found.name)) or found.error_code or ""


def type_of(connection: WorkspaceConnection, name: str) -> str:
    """Return Azure's name of a kind of compute that the SDK does not know, e.g. `Databricks`. One request."""
    properties = _resource(connection, name).get("properties") or {}
    return str(properties.get("computeType") or "unknown type")


def _resource(connection: WorkspaceConnection, name: str) -> dict[str, Any]:
    address = connection.address
    url = f"{address.cloud.resource_manager}{address.path}/computes/{name}?api-version={_API_VERSION}"
    try:
        return connection.get_json(url)
    except AzureError:
        # This explains another error: details that are not available are omitted.
        return {}
