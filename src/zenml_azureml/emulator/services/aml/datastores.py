"""The datastores of every workspace, with the files of jobs (recorded: datastore_*.json)."""

from __future__ import annotations

import base64

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, aml_json, timestamp, workspace_of
from zenml_azureml.emulator.services.storage.sas import CONTAINER, StorageAccount, account_of
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

_DATASTORE = f"{WORKSPACE}/datastores/{{datastore}}"


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(_DATASTORE, get_datastore),
        web.post(f"{_DATASTORE}/listSecrets", list_secrets),
    ]


async def get_datastore(request: web.Request) -> web.StreamResponse:
    """Answer one datastore, without its key."""
    workspace = workspace_of(request)
    name = _name_of(request, workspace)
    account = account_of(workspace, request.app[CONTEXT].base_url)
    return aml_json(request, _body(workspace, name, account))


async def list_secrets(request: web.Request) -> web.StreamResponse:
    """Answer the key of a datastore's storage account, as recorded in 2023."""
    workspace = workspace_of(request)
    _name_of(request, workspace)
    key = base64.b64encode(workspace.storage_key).decode()
    return aml_json(request, {"secretsType": "AccountKey", "key": key})


def _containers(workspace: Workspace) -> dict[str, str]:
    """Container by datastore; only the first holds anything here."""
    return {
        "workspaceartifactstore": CONTAINER,
        "workspaceblobstore": f"azureml-blobstore-{workspace.workspace_id}",
    }


def _name_of(request: web.Request, workspace: Workspace) -> str:
    name = request.match_info["datastore"]
    if name not in _containers(workspace):
        # Guess: the message; a missing datastore was not recorded.
        raise ServiceError(404, "UserError", f"Datastore {name} was not found.", inner=["NotFoundError"])
    return name


def _body(workspace: Workspace, name: str, account: StorageAccount) -> Json:
    is_default = name == "workspaceblobstore"
    made_at = timestamp(workspace.created_at)
    return {
        "id": f"{workspace.path}/datastores/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/datastores",
        "properties": {
            "description": None,
            "tags": None,
            "properties": None,
            "isDefault": is_default,
            "credentials": {"credentialsType": "AccountKey"},
            "datastoreType": "AzureBlob",
            "accountName": account.name,
            "containerName": _containers(workspace)[name],
            "endpoint": "core.windows.net",
            "protocol": "https",
            "serviceDataAccessAuthIdentity": ("WorkspaceSystemAssignedIdentity" if is_default else "None"),
        },
        "systemData": {
            "createdAt": made_at,
            "createdBy": workspace.workspace_id,
            "createdByType": "Application",
            "lastModifiedAt": made_at,
            "lastModifiedBy": workspace.workspace_id,
            "lastModifiedByType": "Application",
        },
    }
