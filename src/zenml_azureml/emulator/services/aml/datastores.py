"""Datastores: the four of every workspace, and those that users make.

Sources: datastore_*.json, datastores_list_2025.json, datastore_listsecrets_sas_2026.json; and the recording of
azure-ai-ml's `test_blob_store` of 2026-03-27 (Azure/azure-sdk-assets).
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.json_bodies import with_texts
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    ServiceError,
    aml_empty,
    aml_json,
    checked,
    json_body,
    paged,
    timestamp,
    workspace_of,
)
from zenml_azureml.emulator.http.schemas import DatastoreSchema
from zenml_azureml.emulator.resources import Datastore
from zenml_azureml.emulator.services.storage.sas import CONTAINER, StorageAccount, account_of
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

_DATASTORE = f"{WORKSPACE}/datastores/{{datastore}}"

#: Source: the check of the SDK's own schema. Guess: that the service has the same rule.
_NAME = re.compile(r"[a-zA-Z0-9_]{1,255}")

#: Type of each of the service's own datastores, the key of its place, and the place, the newest first.
_OWN = {
    "workspaceblobstore": ("AzureBlob", "containerName", "azureml-blobstore-{workspace_id}"),
    "workspaceworkingdirectory": ("AzureFile", "fileShareName", "code-{workspace_id}"),
    "workspaceartifactstore": ("AzureBlob", "containerName", CONTAINER),
    "workspacefilestore": ("AzureFile", "fileShareName", "azureml-filestore-{workspace_id}"),
}

#: Keys of the place of each type of datastore. Source: Microsoft's description of the API.
_PLACES = {
    "AzureBlob": ("accountName", "containerName", "endpoint", "protocol"),
    "AzureFile": ("accountName", "fileShareName", "endpoint", "protocol"),
    "AzureDataLakeGen1": ("storeName",),
    "AzureDataLakeGen2": ("accountName", "filesystem", "endpoint", "protocol"),
    "OneLake": ("artifact", "endpoint", "oneLakeWorkspaceName"),
}
_DEFAULTS = {"endpoint": "core.windows.net", "protocol": "https"}
#: Hours for which a SAS is valid if the request does not say so.
_SAS_HOURS = 1

# Recorded: not in datastore_get_blob.json (2023), but in datastores_list_2025.json and datastore_get_2026.json, which
# have no `createdBy`. Guess: the first versions.
_NEWER = Window("2024-04-01", "2024-01-01")
_WINDOWS = {"subscriptionId": _NEWER, "resourceGroup": _NEWER}


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(f"{WORKSPACE}/datastores", list_datastores),
        web.get(_DATASTORE, get_datastore),
        web.put(_DATASTORE, put_datastore),
        web.delete(_DATASTORE, delete_datastore),
        web.post(f"{_DATASTORE}/listSecrets", list_secrets),
    ]


def properties_of(workspace: Workspace, name: str) -> Json | None:
    """Return the type and the place of a datastore, without its account; None if there is none.

    Args:
        workspace: The workspace.
        name: Of the datastore, in any case.
    """
    made = next((one for one in workspace.datastores.values() if one.name.lower() == name.lower()), None)
    if made is not None:
        return made.properties
    if name.lower() in _OWN:
        kind, key, place = _OWN[name.lower()]
        return {"datastoreType": kind, key: place.format(workspace_id=workspace.workspace_id)}
    return None


async def list_datastores(request: web.Request) -> web.StreamResponse:
    """Answer the datastores, the newest first (recorded: datastores_list_2025.json)."""
    workspace, query = workspace_of(request), request.query
    names = [*reversed(workspace.datastores), *_OWN]
    if query.get("isDefault", "").lower() == "true":
        names = [workspace.default_datastore]
    if "names" in query:
        names = [name for name in names if name in query.getall("names")]
    return paged(request, names, lambda name: _body(request, name))


async def get_datastore(request: web.Request) -> web.StreamResponse:
    """Answer one datastore, without its key."""
    return aml_json(request, _body(request, _name_of(request)))


async def put_datastore(request: web.Request) -> web.StreamResponse:
    """Create or change a datastore. What it leads to is not looked at, as with `skipValidation`."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    name = request.match_info["datastore"]
    if not _NAME.fullmatch(name):
        # Guess: the message.
        raise _refusal(f"The datastore name '{name}' is invalid. It may have letters, digits and underscores only.")
    if name in _OWN:
        # Guess: the message, and that all changes are refused.
        raise _refusal(f"The datastore {name} belongs to the workspace and cannot be changed.")
    sent = with_texts((await json_body(request)).get("properties") or {}, "tags", "properties")
    checked(DatastoreSchema, sent)
    properties, secrets = _completed(sent)
    now, existing = context.clock.now(), workspace.datastores.get(name)
    created = existing.created_at if existing else now
    workspace.datastores[name] = Datastore(name, properties, created, now, secrets)
    location = f"{context.base_url}{workspace.path}/datastores/{name}?{request.rel_url.raw_query_string}"
    # Guess: the status for one that exists; that of a new one was recorded.
    status, headers = (200, {}) if existing else (201, {"Location": location})
    return aml_json(request, _body(request, name), status=status, headers=headers)


async def delete_datastore(request: web.Request) -> web.StreamResponse:
    """Forget a datastore; what it leads to stays. Guess: 204 if there is none, as elsewhere in Resource Manager."""
    workspace, name = workspace_of(request), request.match_info["datastore"]
    if name in _OWN:
        # Guess: the message, and that it is refused.
        raise _refusal(f"The datastore {name} belongs to the workspace and cannot be deleted.")
    return aml_empty(request, status=200 if workspace.datastores.pop(name, None) else 204)


async def list_secrets(request: web.Request) -> web.StreamResponse:
    """Answer the key of a datastore's account, or with `expirableSecret` a SAS.

    Recorded: the key without a body (2023), the SAS (datastore_listsecrets_sas_2026.json).
    """
    context, workspace = request.app[CONTEXT], workspace_of(request)
    name = _name_of(request)
    sent = await json_body(request) if await request.read() else {}
    made = workspace.datastores.get(name)
    if made is not None and made.secrets is None:
        # Guess: the message.
        raise _refusal(f"The datastore {name} has no credentials.")
    secrets = made.secrets if made is not None and made.secrets is not None else _own_secrets(workspace)
    # Guess: the key for the files of jobs, as the SDK signs addresses of their logs with it when it streams them.
    if secrets["secretsType"] == "AccountKey" and sent.get("expirableSecret") and name != "workspaceartifactstore":
        own = account_of(workspace, context.base_url)
        account = own if made is None else _account(made, secrets)
        hours = sent.get("expireAfterHours") or _SAS_HOURS
        lifetime = timedelta(hours=min(float(hours), 24 * 7) if isinstance(hours, (int, float)) else _SAS_HOURS)
        secrets = {"secretsType": "Sas", "sasToken": account.account_sas(now=context.clock.now(), lifetime=lifetime)}
    return aml_json(request, secrets)


def _own_secrets(workspace: Workspace) -> Json:
    return {"secretsType": "AccountKey", "key": base64.b64encode(workspace.storage_key).decode()}


def _account(made: Datastore, secrets: Json) -> StorageAccount:
    try:
        key = base64.b64decode(str(secrets.get("key") or ""), validate=True)
    except binascii.Error:
        key = b""
    name = str(made.properties.get("accountName") or "")
    return StorageAccount(address=f"https://{name}.blob.core.windows.net", name=name, key=key)


def _completed(sent: Json) -> tuple[Json, Json | None]:
    """Return what is answered of a datastore, and its secrets."""
    kind = sent.get("datastoreType")
    if kind not in _PLACES:
        # Guess: the message.
        raise _refusal(f"The datastore type '{kind}' is none of {', '.join(_PLACES)}.")
    credentials = dict(sent.get("credentials") or {"credentialsType": "None"})
    secrets = credentials.pop("secrets", None)
    place = {key: sent.get(key) or _DEFAULTS.get(key) for key in _PLACES[kind]}
    empty = [key for key, value in place.items() if value is None and key != "endpoint"]
    if empty:
        # Guess: the message.
        raise _refusal(f"The field {empty[0]} is required.")
    properties = {
        "description": sent.get("description"),
        "tags": sent.get("tags"),
        "properties": sent.get("properties"),
        "isDefault": False,
        "credentials": credentials,
        "subscriptionId": sent.get("subscriptionId"),
        "resourceGroup": sent.get("resourceGroup"),
        "datastoreType": kind,
        **place,
        "serviceDataAccessAuthIdentity": sent.get("serviceDataAccessAuthIdentity") or "None",
    }
    return properties, secrets


def _refusal(message: str) -> ServiceError:
    return ServiceError(400, "UserError", message)


def _name_of(request: web.Request) -> str:
    name = request.match_info["datastore"]
    if name not in _OWN and name not in workspace_of(request).datastores:
        # Guess: the message; a missing datastore was not recorded.
        raise ServiceError(404, "UserError", f"Datastore {name} was not found.", inner=["NotFoundError"])
    return name


def _body(request: web.Request, name: str) -> Json:
    context, workspace = request.app[CONTEXT], workspace_of(request)
    version = ApiVersion.parse(request.query["api-version"])
    made = workspace.datastores.get(name)
    if made is not None:
        properties, times = made.properties, (made.created_at, made.modified_at)
        created = modified = context.client_id
        has_creator = True
    else:
        properties, times = _own_properties(request, workspace, name), (workspace.created_at, workspace.created_at)
        created = modified = workspace.workspace_id
        has_creator = not version.has(_NEWER)
    who = {"createdBy": created, "createdByType": "Application"}
    return {
        "id": f"{workspace.path}/datastores/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/datastores",
        "properties": version.select(properties, _WINDOWS),
        "systemData": {**_times(times, who if has_creator else {}), "lastModifiedBy": modified}
        | {"lastModifiedByType": "Application"},
    }


def _times(times: tuple[datetime, datetime], who: Json) -> Json:
    return {"createdAt": timestamp(times[0]), **who, "lastModifiedAt": timestamp(times[1])}


def _own_properties(request: web.Request, workspace: Workspace, name: str) -> Json:
    account = account_of(workspace, request.app[CONTEXT].base_url)
    is_default = name == workspace.default_datastore
    kind, key, place = _OWN[name]
    return {
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
