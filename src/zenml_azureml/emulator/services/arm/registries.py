"""Container registries, as Azure Resource Manager shows them; no images can be pushed to them here.

Form: the examples in Microsoft's API reference, version 2023-07-01 ("Registries - Create", "- Get", "- List").
"""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import (
    GatewayError,
    gateway_json,
    json_body,
    subscription_not_found,
    timestamp,
)
from zenml_azureml.emulator.services.arm.schemas import RegistrySchema
from zenml_azureml.emulator.types import Json

_KIND = "Microsoft.ContainerRegistry/registries"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"

#: What a registry is that its maker says nothing of.
_DEFAULTS: Json = {
    "adminUserEnabled": False,
    "dataEndpointEnabled": False,
    "encryption": {"status": "disabled"},
    "networkRuleBypassOptions": "AzureServices",
    "networkRuleSet": None,
    "publicNetworkAccess": "Enabled",
    "zoneRedundancy": "Disabled",
    "anonymousPullEnabled": False,
}


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    one = f"{_GROUP}/providers/{_KIND}/{{registry}}"
    return [
        web.get(f"/subscriptions/{{subscription}}/providers/{_KIND}", _list),
        web.get(f"{_GROUP}/providers/{_KIND}", _list),
        web.get(one, _get),
        web.put(one, _create),
        web.delete(one, _delete),
    ]


async def _list(request: web.Request) -> web.Response:
    prefix = f"{_subscription(request)}/resourceGroups/"
    if "group" in request.match_info:
        prefix += f"{request.match_info['group']}/"
    registries = request.app[CONTEXT].store.registries
    found = [body for id_, body in registries.items() if id_.startswith(prefix.lower())]
    return gateway_json(request, {"value": found})


async def _get(request: web.Request) -> web.Response:
    found = request.app[CONTEXT].store.registries.get(_id(request).lower())
    if found is None:
        raise GatewayError(
            404,
            "ResourceNotFound",
            f"The Resource '{_KIND}/{request.match_info['registry']}' under resource group "
            f"'{request.match_info['group']}' was not found. For more details please go to "
            "https://aka.ms/ARMResourceNotFoundFix",
        )
    return gateway_json(request, found)


async def _create(request: web.Request) -> web.Response:
    """Create or change a registry; done at once, which takes the service some seconds."""
    sent = await json_body(request, RegistrySchema)
    context = request.app[CONTEXT]
    name = request.match_info["registry"]
    sku = str((sent.get("sku") or {}).get("name") or "Basic")
    created = timestamp(context.clock.now()).replace("+00:00", "Z")
    body = {
        "id": _id(request),
        "type": _KIND,
        "name": name,
        "location": sent.get("location") or context.store.workspaces[0].location,
        "tags": sent.get("tags") or {},
        "sku": {"name": sku, "tier": sku},
        "properties": {
            **_DEFAULTS,
            **(sent.get("properties") or {}),
            "loginServer": f"{name.lower()}{context.cloud.registry_suffix}",
            "creationDate": created,
            "provisioningState": "Succeeded",
        },
    }
    known = context.store.registries
    status = 200 if _id(request).lower() in known else 201
    known[_id(request).lower()] = body
    return gateway_json(request, body, status=status)


async def _delete(request: web.Request) -> web.Response:
    found = request.app[CONTEXT].store.registries.pop(_id(request).lower(), None)
    return web.Response(status=204 if found is None else 200)


def _id(request: web.Request) -> str:
    names = request.match_info
    return f"{_subscription(request)}/resourceGroups/{names['group']}/providers/{_KIND}/{names['registry']}"


def _subscription(request: web.Request) -> str:
    wanted = request.match_info["subscription"]
    workspaces = request.app[CONTEXT].store.workspaces
    if all(workspace.subscription_id.lower() != wanted.lower() for workspace in workspaces):
        raise subscription_not_found(wanted)
    return f"/subscriptions/{wanted}"
