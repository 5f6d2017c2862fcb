"""A client for the parts of Azure Resource Manager that `MLClient` lacks: roles, registries, key vaults, identities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import HttpResponseError

from zenml_azureml.azure.arm.permissions import Permission
from zenml_azureml.azure.connection import WorkspaceConnection

# API versions.
WORKSPACES = "2024-10-01"
COMPUTES = "2024-04-01"
DATA = "2024-04-01"
DATASTORES = "2024-04-01"
AUTHORIZATION = "2022-04-01"
REGISTRIES = "2023-07-01"
VAULTS = "2023-07-01"
SUBSCRIPTIONS = "2022-12-01"
PROVIDERS = "2021-04-01"
LOCKS = "2016-09-01"


class ResourceManager:
    """A client without retries. Thread-safe, as its connection is; has no state.

    All methods raise `azure.core.exceptions.AzureError` if Azure cannot be reached or refuses.

    Args:
        connection: The connection to use.
    """

    def __init__(self, connection: WorkspaceConnection) -> None:
        self._connection = connection

    def get(self, path: str, version: str, query: str = "") -> dict[str, Any]:
        """Get a resource, or one page of a list.

        Args:
            path: Its ARM id.
            version: The API version.
            query: Further parameters, each with a `&` before it.
        """
        return self._connection.get_json(
            f"{self._connection.cloud.resource_manager}{path}?api-version={version}{query}"
        )

    def items(self, path: str, version: str, query: str = "") -> Iterator[dict[str, Any]]:
        """Yield all items of a list; arguments as for `get`."""
        url = f"{self._connection.cloud.resource_manager}{path}?api-version={version}{query}"
        for page in self._connection.get_pages(url):
            yield from page

    def permissions_of(self, principal_id: str, scope: str) -> list[Permission] | None:
        """Return the permissions of a principal's roles on a resource; None if the credential may not read roles there.

        Args:
            principal_id: Object id of the principal.
            scope: ARM id of the resource.
        """
        wanted = quote(f"assignedTo('{principal_id}')")
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
        try:
            listed = list(self.items(path, AUTHORIZATION, f"&$filter={wanted}"))
            roles = {str(body["properties"]["roleDefinitionId"]) for body in listed}
            bodies = [self.get(role, AUTHORIZATION) for role in sorted(roles)]
        except HttpResponseError as error:
            if error.status_code != 403:
                raise
            return None
        return [Permission.of(one) for body in bodies for one in body["properties"].get("permissions") or ()]
