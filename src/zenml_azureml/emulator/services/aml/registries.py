"""Registries: models and data that workspaces share.

A registry is a resource of Azure Resource Manager. Its assets are at a host of Azure ML's own, which clients find by a
discovery; so clients need the proxy. Here a registry is kept with a workspace of its resource group, in whose
storage account its files are.

Source: the requests of azure-ai-ml 1.35 (`_utils/_registry_utils.py`, `_registry_operations.py`), and Microsoft's
"Create and manage registries". Guess: all answers, of which there are no recordings.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import (
    GatewayError,
    ServiceError,
    aml_empty,
    aml_json,
    json_body,
    not_emulated,
    subscription_not_found,
)
from zenml_azureml.emulator.resources import AssetContainer
from zenml_azureml.emulator.services.aml.asset_paths import find_place, version_of
from zenml_azureml.emulator.services.aml.asset_routes import AssetRoutes
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.codes import new_container
from zenml_azureml.emulator.services.aml.data import Data
from zenml_azureml.emulator.services.aml.models import Models
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.services.arm.authorize import DATA_PLANE
from zenml_azureml.emulator.services.arm.other_resources import storage_account_id
from zenml_azureml.emulator.services.storage.files import AccountFiles
from zenml_azureml.emulator.services.storage.sas import StorageAccount, account_folder
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

_GROUP = "/subscriptions/{subscription}/resourceGroups/{resource_group}"
_ONE = f"{_GROUP}/providers/{PROVIDER}/registries/{{registry}}"
#: Registries that every tenant has.
_MICROSOFTS = ("azureml", "azureml-meta", "azureml-msr", "azureml-staging", "huggingface", "nvidia-ai")
_SAS_LIFETIME = timedelta(hours=1)
_KINDS: dict[str, AssetKind] = {"data": Data(), "models": Models()}
_URI_KEYS = {"data": "dataUri", "models": "modelUri"}
_ASSET = re.compile(r"azureml://.+/(?P<kind>data|models)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{1,32}")


@dataclass(frozen=True)
class _Found:
    """A registry and the workspace that it is kept with."""

    host: Workspace
    name: str
    body: Json


class _Scope(Workspace):
    """The assets of a registry, in the form in which kinds of assets know workspaces."""

    def __init__(self, found: _Found) -> None:
        host = found.host
        super().__init__(host.subscription_id, host.resource_group, found.name, host.location, host.created_at)
        self._host = host

    def assets_of(self, kind: str) -> dict[str, AssetContainer]:
        return self._host.assets_of(f"registries/{self.name}/{kind}")

    @property
    def path(self) -> str:
        return f"azureml://registries/{self.name}"


def routes() -> list[web.RouteDef]:
    """Return the routes of registries and of their models and data."""
    scope = f"{DATA_PLANE}{_ONE}"
    assets = [
        # The SDK creates no model of which it cannot list the versions before.
        AssetRoutes(
            kind, scope=scope, scope_of=_scope_of, parent="registries", new_status=200, lists_missing=True
        ).routes()
        for kind in _KINDS.values()
    ]
    return [
        web.put(_ONE, _create),
        web.get(_ONE, _get),
        web.delete(_ONE, _delete),
        web.get(f"{_GROUP}/providers/{PROVIDER}/registries", _list),
        web.get("/registrymanagement/v1.0/registries/{registry}/discovery", _discover),
        web.put(f"{DATA_PLANE}{_ONE}/tempdatarefs/{{asset}}/versions/{{version}}", _start_upload),
        web.post(f"{DATA_PLANE}{_ONE}/datarefs/{{asset}}/versions/{{version}}", _allow_download),
        web.post(f"{DATA_PLANE}{_ONE}/import", _import),
        *(route for group in assets for route in group),
    ]


async def _create(request: web.Request) -> web.Response:
    context, host = request.app[CONTEXT], _host_of(request)
    sent, name = await json_body(request), request.match_info["registry"]
    if not _NAME.fullmatch(name):
        raise GatewayError(400, "InvalidResourceName", f"The registry name '{name}' is invalid.")
    other = _found(context, name)
    if other is not None and other.host is not host:
        raise ServiceError(409, "UserError", f"The registry name {name} is taken.")
    body = {
        "id": f"{host.path.rpartition('/workspaces/')[0]}/registries/{name}",
        "name": name,
        "type": f"{PROVIDER}/registries",
        "location": sent.get("location") or host.location,
        "tags": sent.get("tags") or {},
        "identity": sent.get("identity"),
        "properties": {
            **(sent.get("properties") or {}),
            "discoveryUrl": f"{_service_of(context, host.location)}registrymanagement/v1.0/registries/{name}/discovery",
            "provisioningState": "Succeeded",
        },
    }
    kept = AssetContainer(other.name if other else name, context.clock.now(), properties=body)
    host.assets_of("registries")[kept.name] = kept
    return aml_json(request, body, status=200 if other else 201)


async def _get(request: web.Request) -> web.Response:
    return aml_json(request, _registry_of(request).body)


async def _list(request: web.Request) -> web.Response:
    found = [one.properties for one in _host_of(request).assets_of("registries").values()]
    return aml_json(request, {"value": found})


async def _delete(request: web.Request) -> web.Response:
    """Delete a registry with its assets. The files in storage stay."""
    found = _registry_of(request)
    found.host.assets_of("registries").pop(found.name)
    for kind in _KINDS:
        _Scope(found).assets_of(kind).clear()
    return aml_empty(request, status=200)


async def _discover(request: web.Request) -> web.Response:
    context, name = request.app[CONTEXT], request.match_info["registry"]
    found = _found(context, name)
    if found is None and name.lower() in _MICROSOFTS:
        raise not_emulated(f"The registry {name} of Microsoft")
    if found is None:
        raise _not_found(name)
    return aml_json(
        request,
        {
            "registryName": found.name,
            "tenantId": context.tenant_id,
            "primaryRegion": found.body["location"],
            "regions": [found.body["location"]],
            "subscriptionId": found.host.subscription_id,
            "resourceGroup": found.host.resource_group,
            "workspaceName": None,
            "primaryRegionResourceProviderUri": _service_of(context, found.body["location"]),
        },
    )


async def _start_upload(request: web.Request) -> web.Response:
    """Answer a new container and a SAS for its writer; 409 if the version exists, on which the SDK does not upload."""
    context, found = request.app[CONTEXT], _registry_of(request)
    named = _ASSET.fullmatch(str((await json_body(request)).get("assetId")))
    if named is None:
        raise not_emulated("An asset of a registry that is neither a model nor data")
    container = _Scope(found).assets_of(named["kind"].lower()).get(named["name"])
    if container is not None and named["version"] in container.versions:
        raise ServiceError(409, "UserError", f"The asset {named[0]} already exists.")
    place = new_container(context, found.host)
    return aml_json(request, _reference(context, found.host, place, "", permissions="rcwl"))


async def _allow_download(request: web.Request) -> web.Response:
    """Answer a SAS for the reader of a version's container."""
    context, found = request.app[CONTEXT], _registry_of(request)
    address = str((await json_body(request)).get("blobUri"))
    if not any(address == uri for scope in _KINDS for uri in _addresses(_Scope(found), scope)):
        raise ServiceError(404, "UserError", f"The registry {found.name} has no asset at {address}.")
    container, _, path = urlsplit(address).path.strip("/").partition("/")
    return aml_json(request, _reference(context, found.host, container, path, permissions="rl"))


async def _import(request: web.Request) -> web.Response:
    """Copy a version of a workspace, as `share` of the SDK's models and data asks for."""
    context, found = request.app[CONTEXT], _registry_of(request)
    sent = (await json_body(request)).get("properties") or {}
    source, named = str(sent.get("sourceAssetId")), _ASSET.fullmatch(str(sent.get("sourceAssetId")))
    owner = next((one for one in context.store.workspaces if f"/workspaces/{one.workspace_id}/" in source), None)
    if named is None:
        raise not_emulated("An asset of a registry that is neither a model nor data")
    if owner is None:
        raise ServiceError(404, "UserError", f"The workspace of {source} was not found.")
    kind = named["kind"].lower()
    version = version_of(owner, kind, named["name"], named["version"])
    if version is None:
        raise _KINDS[kind].missing(named["name"], named["version"])
    try:
        place = find_place(context.folder, owner, str(version.properties[_URI_KEYS[kind]]))
    except AssetPathError as error:
        raise ServiceError(400, "UserError", error.message) from error
    if not place.file.exists():
        # Guess: the status and the message.
        raise ServiceError(400, "UserError", f"The asset {source} has no files.")
    container = new_container(context, found.host)
    target = AccountFiles(context.folder, found.host).container(container) / place.file.name
    await asyncio.to_thread(shutil.copytree if place.file.is_dir() else shutil.copy, place.file, target)
    uri = f"{_account(context, found.host).address}/{container}/{place.file.name}"
    copied = {**version.properties, _URI_KEYS[kind]: f"{uri}/" if place.uri.endswith("/") else uri}
    name, number = sent.get("destinationName") or named["name"], sent.get("destinationVersion") or named["version"]
    _KINDS[kind].put(_Scope(found), name, number, copied, context.clock.now())
    return aml_empty(request, status=200)


def _addresses(scope: Workspace, kind: str) -> list[str]:
    versions = (one for container in scope.assets_of(kind).values() for one in container.versions.values())
    return [str(one.properties[_URI_KEYS[kind]]) for one in versions]


def _reference(context: Context, host: Workspace, container: str, path: str, *, permissions: str) -> Json:
    account = _account(context, host)
    uri = account.sas_url(
        None, now=context.clock.now(), lifetime=_SAS_LIFETIME, container=container, permissions=permissions
    )
    return {
        "blobReferenceForConsumption": {
            "blobUri": "/".join(part for part in (account.address, container, path) if part),
            "storageAccountArmId": storage_account_id(host),
            "credential": {"credentialType": "SAS", "sasUri": uri},
        }
    }


def _account(context: Context, host: Workspace) -> StorageAccount:
    """Return the account at its host of Azure, as the SDK takes addresses of registries apart."""
    name = account_folder(host)
    return StorageAccount(f"https://{context.cloud.blob_hosts.replace('*', name)}", name, host.storage_key)


def _service_of(context: Context, region: str) -> str:
    """Return the address of Azure ML's own host in a region, with a slash at its end."""
    return f"https://{context.cloud.aml_hosts[-1].replace('*', f'cert-{region}')}/"


def _found(context: Context, name: str) -> _Found | None:
    for workspace in context.store.workspaces:
        for kept in workspace.assets.get("registries", {}).values():
            if kept.name.lower() == name.lower() and kept.properties is not None:
                return _Found(workspace, kept.name, kept.properties)
    return None


def _host_of(request: web.Request) -> Workspace:
    subscription, group = request.match_info["subscription"].lower(), request.match_info["resource_group"].lower()
    mine = [one for one in request.app[CONTEXT].store.workspaces if one.subscription_id.lower() == subscription]
    if not mine:
        raise subscription_not_found(request.match_info["subscription"])
    for workspace in mine:
        if workspace.resource_group.lower() == group:
            return workspace
    group = request.match_info["resource_group"]
    raise GatewayError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def _registry_of(request: web.Request) -> _Found:
    host, name = _host_of(request), request.match_info["registry"]
    found = _found(request.app[CONTEXT], name)
    if found is None or found.host is not host:
        raise _not_found(name)
    return found


def _scope_of(request: web.Request) -> Workspace:
    return _Scope(_registry_of(request))


def _not_found(name: str) -> ServiceError:
    return ServiceError(404, "UserError", f"Registry {name} not found.", inner=["NotFoundError"])
