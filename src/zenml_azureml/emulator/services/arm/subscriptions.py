"""Resources that a signed-in application can list without an address: its tenant and its subscriptions.

Sources: the examples in Microsoft's API reference ("Tenants - List", "Subscriptions - List" and "- Get", 2022-12-01),
and an answer quoted in goshlanguage/cerulean (pkg/services/subscriptions/README.md).
"""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import gateway_json, subscription_not_found
from zenml_azureml.emulator.types import Json


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get("/tenants", _list_tenants),
        web.get("/subscriptions", _list),
        web.get("/subscriptions/{subscription}", _get),
    ]


async def _list_tenants(request: web.Request) -> web.Response:
    tenant_id = request.app[CONTEXT].tenant_id
    domain = "emulator.onmicrosoft.com"
    tenant = {
        "id": f"/tenants/{tenant_id}",
        "tenantId": tenant_id,
        "countryCode": "US",
        "displayName": "Emulator",
        "domains": [domain],
        "tenantCategory": "Home",
        "defaultDomain": domain,
        "tenantType": "AAD",
    }
    return gateway_json(request, {"value": [tenant]})


async def _list(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    found = [_render(subscription, context) for subscription in _subscriptions(context)]
    return gateway_json(request, {"value": found, "count": {"type": "Total", "value": len(found)}})


async def _get(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    wanted = request.match_info["subscription"]
    for subscription in _subscriptions(context):
        if subscription.lower() == wanted.lower():
            return gateway_json(request, _render(subscription, context))
    raise subscription_not_found(wanted)


def _subscriptions(context: Context) -> list[str]:
    """Return the subscriptions of the workspaces, each once, oldest first."""
    return list(dict.fromkeys(workspace.subscription_id for workspace in context.store.workspaces))


def _render(subscription: str, context: Context) -> Json:
    return {
        "id": f"/subscriptions/{subscription}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription,
        "tenantId": context.tenant_id,
        "displayName": "Emulator",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }
