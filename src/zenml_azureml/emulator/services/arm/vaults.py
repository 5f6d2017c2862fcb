"""Key vaults in Azure Resource Manager: their addresses and access policies. Each workspace has its own.

Form: the examples in Microsoft's API reference, version 2023-07-01 ("Vaults - Get", "- Update", "- List"). In a new
one roles say who may use it, and no role for its secrets comes with owning the subscription.
"""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import (
    GatewayError,
    gateway_json,
    json_body,
    subscription_not_found,
    timestamp,
)
from zenml_azureml.emulator.services.arm.rbac import PROVIDER_OF_VAULTS
from zenml_azureml.emulator.services.arm.schemas import VaultSchema
from zenml_azureml.emulator.services.keyvault.store import Vault
from zenml_azureml.emulator.types import Json

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/{{group}}"


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    one = f"{_GROUP}/providers/{PROVIDER_OF_VAULTS}/{{vault}}"
    return [
        web.get(f"{_SUBSCRIPTION}/providers/{PROVIDER_OF_VAULTS}", _list),
        web.get(f"{_GROUP}/providers/{PROVIDER_OF_VAULTS}", _list),
        web.get(one, _get),
        web.patch(one, _update),
    ]


async def _list(request: web.Request) -> web.Response:
    group = request.match_info.get("group", "")
    found = [vault for vault in _in_subscription(request) if group.lower() in ("", vault.resource_group.lower())]
    return gateway_json(request, {"value": [_render(vault, request.app[CONTEXT]) for vault in found]})


async def _get(request: web.Request) -> web.Response:
    return gateway_json(request, _render(_vault(request), request.app[CONTEXT]))


async def _update(request: web.Request) -> web.Response:
    """Change who says who may use it, and its access policies, as `az keyvault update` and `set-policy` do."""
    vault = _vault(request)
    properties = (await json_body(request, VaultSchema)).get("properties") or {}
    uses_roles, policies = properties.get("enableRbacAuthorization"), properties.get("accessPolicies")
    vault.uses_roles = vault.uses_roles if uses_roles is None else uses_roles
    vault.access_policies = vault.access_policies if policies is None else policies
    return gateway_json(request, _render(vault, request.app[CONTEXT]))


def _vault(request: web.Request) -> Vault:
    group, name = request.match_info["group"], request.match_info["vault"]
    for vault in _in_subscription(request):
        if (vault.resource_group.lower(), vault.name.lower()) == (group.lower(), name.lower()):
            return vault
    raise GatewayError(
        404,
        "ResourceNotFound",
        f"The Resource '{PROVIDER_OF_VAULTS}/{name}' under resource group '{group}' was not found. For more details "
        "please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def _in_subscription(request: web.Request) -> list[Vault]:
    wanted, store = request.match_info["subscription"], request.app[CONTEXT].store
    if all(workspace.subscription_id.lower() != wanted.lower() for workspace in store.workspaces):
        raise subscription_not_found(wanted)
    return [vault for vault in store.vaults if vault.subscription_id.lower() == wanted.lower()]


def _render(vault: Vault, context: Context) -> Json:
    created = timestamp(vault.created_at).replace("+00:00", "Z")
    who = {"createdBy": context.client_id, "createdByType": "Application", "createdAt": created}
    return {
        "id": vault.path,
        "name": vault.name,
        "type": PROVIDER_OF_VAULTS,
        "location": vault.location,
        "tags": {},
        "systemData": {**who, **{key.replace("created", "lastModified"): value for key, value in who.items()}},
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": context.tenant_id,
            "accessPolicies": vault.access_policies,
            "enabledForDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 90,
            "enableRbacAuthorization": vault.uses_roles,
            "vaultUri": f"{vault.address}/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        },
    }
