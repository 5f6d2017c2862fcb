"""Looking at a compute."""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.compute.errors import errors_of
from zenml_azureml.azure.compute.mapping import found_compute
from zenml_azureml.azure.compute.state import FoundCompute
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import is_missing_workspace

#: Of what Resource Manager says of a compute, the SDK keeps neither the messages of its errors nor the names of
#: kinds that it does not know; they are read in this version of the API.
_API_VERSION = "2024-04-01"


def find_compute(connection: WorkspaceConnection, name: str) -> FoundCompute | None:
    """The compute of that name, or None. One request.

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
    """What Azure says went wrong with a compute. One request, for an error that is worth it."""
    return errors_of(_resource(connection, found.name)) or found.error_code or ""


def type_of(connection: WorkspaceConnection, name: str) -> str:
    """Azure's word for the kind of a compute that the SDK has none for, e.g. `Databricks`. One request."""
    properties = _resource(connection, name).get("properties") or {}
    return str(properties.get("computeType") or "unknown type")


def _resource(connection: WorkspaceConnection, name: str) -> dict[str, Any]:
    address = connection.address
    url = f"{address.cloud.resource_manager}{address.path}/computes/{name}?api-version={_API_VERSION}"
    try:
        return connection.get_json(url)
    except AzureError:
        # An error is being explained: what cannot be had for it is left out.
        return {}
