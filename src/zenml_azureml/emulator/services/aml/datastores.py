"""The datastores of every workspace, with the files of jobs (recorded: datastore_*.json)."""

from __future__ import annotations

import base64

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, aml_json, paged, timestamp, workspace_of
from zenml_azureml.emulator.services.storage.sas import CONTAINER, account_of
from zenml_azureml.emulator.state import PROVIDER
from zenml_azureml.emulator.types import Json

_DATASTORE = f"{WORKSPACE}/datastores/{{datastore}}"


#: Type of each datastore, the key of its place, and the place, the newest first; only `azureml` holds anything here.
_STORES = {
    "workspaceblobstore": ("AzureBlob", "containerName", "azureml-blobstore-{workspace_id}"),
    "workspaceworkingdirectory": ("AzureFile", "fileShareName", "code-{workspace_id}"),
    "workspaceartifactstore": ("AzureBlob", "containerName", CONTAINER),
    "workspacefilestore": ("AzureFile", "fileShareName", "azureml-filestore-{workspace_id}"),
}

# Recorded: not in datastore_get_blob.json (2023), but in datastores_list_2025.json and datastore_get_2026.json, which
# have no `createdBy`. Guess: the first versions.
_NEWER = Window("2024-04-01", "2024-01-01")
_WINDOWS = {"subscriptionId": _NEWER, "resourceGroup": _NEWER}


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(f"{WORKSPACE}/datastores", list_datastores),
        web.get(_DATASTORE, get_datastore),
        web.post(f"{_DATASTORE}/listSecrets", list_secrets),
    ]


async def list_datastores(request: web.Request) -> web.StreamResponse:
    """Answer the datastores that the service makes for every workspace (recorded: datastores_list_2025.json)."""
    return paged(request, list(_STORES), lambda name: _body(request, name))


async def get_datastore(request: web.Request) -> web.StreamResponse:
    """Answer one datastore, without its key."""
    return aml_json(request, _body(request, _name_of(request)))


async def list_secrets(request: web.Request) -> web.StreamResponse:
    """Answer the key of a datastore's storage account, as recorded in 2023."""
    workspace = workspace_of(request)
    _name_of(request)
    key = base64.b64encode(workspace.storage_key).decode()
    return aml_json(request, {"secretsType": "AccountKey", "key": key})


def _name_of(request: web.Request) -> str:
    name = request.match_info["datastore"]
    if name not in _STORES:
        # Guess: the message; a missing datastore was not recorded.
        raise ServiceError(404, "UserError", f"Datastore {name} was not found.", inner=["NotFoundError"])
    return name


def _body(request: web.Request, name: str) -> Json:
    workspace, version = workspace_of(request), ApiVersion.parse(request.query["api-version"])
    account = account_of(workspace, request.app[CONTEXT].base_url)
    is_default = name == "workspaceblobstore"
    kind, key, place = _STORES[name]
    made_at = timestamp(workspace.created_at)
    who = {"createdBy": workspace.workspace_id, "createdByType": "Application"}
    properties = {
        "description": None,
        "tags": None,
        "properties": None,
        "isDefault": is_default,
        "credentials": {"credentialsType": "AccountKey"},
        "subscriptionId": workspace.subscription_id if is_default else None,
        "resourceGroup": workspace.resource_group if is_default else None,
        "datastoreType": kind,
        "accountName": account.name,
        key: place.format(workspace_id=workspace.workspace_id),
        "endpoint": "core.windows.net",
        "protocol": "https",
        "serviceDataAccessAuthIdentity": ("WorkspaceSystemAssignedIdentity" if is_default else "None"),
    }
    return {
        "id": f"{workspace.path}/datastores/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/datastores",
        "properties": version.select(properties, _WINDOWS),
        "systemData": {
            "createdAt": made_at,
            **({} if version.has(_NEWER) else who),
            "lastModifiedAt": made_at,
            "lastModifiedBy": workspace.workspace_id,
            "lastModifiedByType": "Application",
        },
    }
