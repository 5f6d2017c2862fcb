"""Workspaces: they exist from the start; only their container registry and their identities can be changed.

Sources: workspace_list_2026.json (at 2023-04-01, the keys of today), workspace_get_200_2022.json (2022-01-01-preview).
"""

from __future__ import annotations

import uuid

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    aml_json,
    gateway_json,
    json_body,
    not_emulated,
    subscription_not_found,
    timestamp,
    workspace_of,
)
from zenml_azureml.emulator.http.schemas import WorkspaceSchema
from zenml_azureml.emulator.services.arm.other_resources import storage_account_id
from zenml_azureml.emulator.services.entra.machine_identities import user_assigned
from zenml_azureml.emulator.services.mlflow.uris import tracking_uri
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

#: Guess: the versions between 2022-01-01-preview, which lacks these, and 2023-04-01, which has them.
_SINCE_2023 = Window("2023-04-01", "2023-04-01")
_WINDOWS = {
    **dict.fromkeys(("kind", "managedNetwork", "allowRoleAssignmentOnRG", "v1LegacyMode"), _SINCE_2023),
    **dict.fromkeys(("softDeleteEnabled", "creationTime", "enableDataIsolation"), _SINCE_2023),
}

#: Of each workspace here; others are hubs and projects.
_KIND = "Default"

#: Properties that an update sets, and that are shown; no more follows from them here.
_UPDATED = ("friendlyName", "description", "imageBuildCompute", "applicationInsights", "publicNetworkAccess")
#: Properties whose update has an effect on jobs.
_WITH_EFFECT = ("containerRegistry", "primaryUserAssignedIdentity")


def routes() -> list[web.RouteDef]:
    """Return the routes of workspaces."""
    subscription = "/subscriptions/{subscription}"
    return [
        web.get(WORKSPACE, _get),
        web.patch(WORKSPACE, _update),
        web.get(f"{subscription}/providers/{PROVIDER}/workspaces", _list),
        web.get(
            f"{subscription}/resourceGroups/{{resource_group}}/providers/{PROVIDER}/workspaces",
            _list,
        ),
    ]


async def _get(request: web.Request) -> web.Response:
    return aml_json(request, _shown(request, workspace_of(request)))


async def _update(request: web.Request) -> web.Response:
    """Update a workspace, as `az ml workspace update` does.

    Raises:
        GatewayError: 501, for a property of which the emulator has no update: success means that it has happened.
    """
    workspace = workspace_of(request)
    sent = await json_body(request, WorkspaceSchema)
    properties, identity = sent.get("properties") or {}, sent.get("identity") or {}
    now = _render(workspace, request.app[CONTEXT])["properties"]
    for name, value in properties.items():
        if name not in (*_UPDATED, *_WITH_EFFECT) and not _is_unchanged(name, value, now):
            raise not_emulated(f"The update of the property {name} of a workspace")
    if "tags" in sent:
        workspace.tags = sent["tags"] or {}
    workspace.updated.update({name: value for name, value in properties.items() if name in _UPDATED})
    if "type" in identity and "UserAssigned" not in str(identity["type"]):
        workspace.user_assigned = {}
    elif "userAssignedIdentities" in identity:
        workspace.user_assigned = user_assigned(identity["userAssignedIdentities"] or {})
    if "primaryUserAssignedIdentity" in properties:
        workspace.primary_identity = properties["primaryUserAssignedIdentity"]
    if "containerRegistry" in properties:
        workspace.container_registry = properties["containerRegistry"]
    # Guess: done at once, while the service answers 202 and takes some time.
    return aml_json(request, _shown(request, workspace))


def _is_unchanged(name: str, value: object, now: Json) -> bool:
    """True if a property that the SDK sends with each update has the value that it has already."""
    if name == "networkAcls":  # which a workspace without rules does not show
        return value in (None, {"defaultAction": "Allow"})
    if name == "managedNetwork" and isinstance(value, dict):
        return not value.get("outboundRules") and value.get("isolationMode") == now[name]["isolationMode"]
    return name in now and value == now[name]


async def _list(request: web.Request) -> web.Response:
    """Put together by ARM, and so compact."""
    context = request.app[CONTEXT]
    subscription = request.match_info["subscription"].lower()
    found = [w for w in context.store.workspaces if w.subscription_id.lower() == subscription]
    if not found:
        raise subscription_not_found(request.match_info["subscription"])
    group = request.match_info.get("resource_group")
    if group is not None:
        found = [w for w in found if w.resource_group.lower() == group.lower()]
    kinds = request.query.get("kind")
    if kinds and _KIND.lower() not in kinds.lower().split(","):  # Source: azure-ai-ml, which joins them with commas
        found = []
    # The ids of the requests that ARM has sent to the regions (recorded: workspace_list_2026.json).
    headers = {"x-ms-original-request-ids": str(uuid.uuid4())}
    return gateway_json(request, {"value": [_shown(request, w) for w in found]}, headers=headers)


def _shown(request: web.Request, workspace: Workspace) -> Json:
    """Return a workspace as a client of that api-version sees it."""
    version, body = ApiVersion.parse(request.query["api-version"]), _render(workspace, request.app[CONTEXT])
    body["properties"] = version.select(body["properties"], _WINDOWS)
    if not version.has(_SINCE_2023):
        body["properties"]["sasGetterUri"] = ""
    return version.select(body, _WINDOWS)


def _render(workspace: Workspace, context: Context) -> Json:
    created = timestamp(workspace.created_at).replace("+00:00", "Z")
    group = f"/subscriptions/{workspace.subscription_id}/resourceGroups/{workspace.resource_group}"
    plain = workspace.plain_name
    return {
        "id": workspace.path,
        "name": workspace.name,
        "type": f"{PROVIDER}/workspaces",
        "location": workspace.location,
        "tags": workspace.tags,
        "etag": None,
        "properties": {
            "friendlyName": workspace.name,
            "description": "",
            "storageAccount": storage_account_id(workspace),
            "keyVault": f"{group}/providers/Microsoft.Keyvault/vaults/{workspace.vault_name}",
            "applicationInsights": f"{group}/providers/Microsoft.insights/components/{plain}",
            "hbiWorkspace": False,
            "tenantId": context.tenant_id,
            "imageBuildCompute": None,
            "provisioningState": "Succeeded",
            **({"containerRegistry": workspace.container_registry} if workspace.container_registry else {}),
            "managedNetwork": {
                "changeableIsolationModes": ["AllowInternetOutbound", "AllowOnlyApprovedOutbound"],
                "isolationMode": "Disabled",
                "enableNetworkMonitor": False,
                "enableFirewallLog": False,
            },
            "allowRoleAssignmentOnRG": True,
            "v1LegacyMode": False,
            "softDeleteEnabled": False,
            "creationTime": created,
            "notebookInfo": {
                "resourceId": uuid.UUID(workspace.workspace_id).hex,
                "fqdn": f"ml-{plain}-{workspace.location}-{workspace.workspace_id}"
                f".{workspace.location}.notebooks.azure.net",
                "isPrivateLinkEnabled": False,
                "notebookPreparationError": None,
            },
            "storageHnsEnabled": False,
            "workspaceId": workspace.workspace_id,
            "linkedModelInventoryArmId": None,
            **({"primaryUserAssignedIdentity": workspace.primary_identity} if workspace.primary_identity else {}),
            "privateLinkCount": 0,
            "publicNetworkAccess": "Enabled",
            "discoveryUrl": f"{context.base_url}/discovery",
            "mlFlowTrackingUri": tracking_uri(workspace, context.base_url, "v1.0"),
            "sdkTelemetryAppInsightsKey": str(uuid.UUID(int=0)),
            "enableDataIsolation": False,
            **workspace.updated,
        },
        "identity": {
            "type": "SystemAssigned,UserAssigned" if workspace.user_assigned else "SystemAssigned",
            "principalId": str(uuid.uuid5(uuid.UUID(workspace.workspace_id), "identity")),
            "tenantId": context.tenant_id,
            **({"userAssignedIdentities": workspace.user_assigned} if workspace.user_assigned else {}),
        },
        "kind": _KIND,
        "sku": {"name": "Basic", "tier": "Basic"},
        "systemData": {
            "createdAt": created,
            "createdBy": context.client_id,
            "createdByType": "Application",
            "lastModifiedAt": created,
            "lastModifiedBy": context.client_id,
            "lastModifiedByType": "Application",
        },
    }
