"""Resources of other services in a subscription: each workspace's storage account; no Kubernetes clusters, no locks.

Who looks for what an identity can reach, such as ZenML's service connectors, lists them. Form: the examples in
Microsoft's API reference ("Storage Accounts - List", "Managed Clusters - List", "Providers - Get", "Management Locks -
List By Scope").
"""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    GatewayError,
    gateway_json,
    subscription_not_found,
    timestamp,
)
from zenml_azureml.emulator.services.storage.sas import account_folder
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_PROVIDERS = "/subscriptions/{subscription}/providers"
_LOCKS = "/providers/Microsoft.Authorization/locks"

#: The resource providers that the emulator has resources of.
_NAMESPACES = (
    "Microsoft.Authorization",
    "Microsoft.ContainerRegistry",
    "Microsoft.KeyVault",
    "Microsoft.MachineLearningServices",
    "Microsoft.ManagedIdentity",
    "Microsoft.Storage",
)


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(f"{_PROVIDERS}/Microsoft.Storage/storageAccounts", _list_storage_accounts),
        web.get(f"{_PROVIDERS}/Microsoft.ContainerService/managedClusters", _list_nothing),
        web.get(f"{_PROVIDERS}/{{namespace}}", _get_provider),
        web.get(f"/subscriptions/{{subscription}}/resourceGroups/{{group}}{_LOCKS}", _list_nothing),
        web.get(f"{WORKSPACE}{_LOCKS}", _list_nothing),
    ]


def storage_account_id(workspace: Workspace) -> str:
    """Return the ARM id of a workspace's storage account."""
    group = f"/subscriptions/{workspace.subscription_id}/resourceGroups/{workspace.resource_group}"
    return f"{group}/providers/Microsoft.Storage/storageAccounts/{account_folder(workspace)}"


async def _list_storage_accounts(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    return gateway_json(request, {"value": [_render(workspace, context) for workspace in _workspaces(request)]})


async def _get_provider(request: web.Request) -> web.Response:
    _workspaces(request)
    namespace, subscription = request.match_info["namespace"], request.match_info["subscription"]
    found = next((one for one in _NAMESPACES if one.lower() == namespace.lower()), "")
    if not found:
        # Guess: the code and the words.
        raise GatewayError(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")
    provider = {
        "id": f"/subscriptions/{subscription}/providers/{found}",
        "namespace": found,
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [],
        "registrationState": "Registered",
    }
    return gateway_json(request, provider)


async def _list_nothing(request: web.Request) -> web.Response:
    _workspaces(request)
    return gateway_json(request, {"value": []})


def _workspaces(request: web.Request) -> list[Workspace]:
    """Return the workspaces of the subscription that the path names, which exists if it has one."""
    wanted = request.match_info["subscription"]
    workspaces = request.app[CONTEXT].store.workspaces
    found = [workspace for workspace in workspaces if workspace.subscription_id.lower() == wanted.lower()]
    if not found:
        raise subscription_not_found(wanted)
    return found


def _render(workspace: Workspace, context: Context) -> Json:
    name = account_folder(workspace)
    return {
        "id": storage_account_id(workspace),
        "name": name,
        "type": "Microsoft.Storage/storageAccounts",
        "location": workspace.location,
        "tags": {},
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS", "tier": "Standard"},
        "properties": {
            "provisioningState": "Succeeded",
            "creationTime": timestamp(workspace.created_at).replace("+00:00", "Z"),
            "primaryEndpoints": {"blob": f"https://{context.cloud.blob_hosts.replace('*', name)}/"},
            "primaryLocation": workspace.location,
            "statusOfPrimary": "available",
            "supportsHttpsTrafficOnly": True,
        },
    }
