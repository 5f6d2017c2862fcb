"""Azure ML's own check of a workspace: `workspaces.begin_diagnose` of the SDK.

Forms: workspace_diagnose_post_202.json and workspace_diagnose_poll_200.json, of 2022.
"""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    ServiceError,
    aml_empty,
    aml_json,
    json_body,
    workspace_of,
)
from zenml_azureml.emulator.http.schemas import DiagnoseSchema
from zenml_azureml.emulator.services.aml.sizes import LOCATION
from zenml_azureml.emulator.state import PROVIDER

#: The parts of a check by their names in the request, with those of their results. Source: Microsoft's REST reference,
#: `DiagnoseRequestProperties` and `DiagnoseResponseResultValue`.
_RESULTS = {
    "udr": "userDefinedRouteResults",
    "nsg": "networkSecurityRuleResults",
    "resourceLock": "resourceLockResults",
    "dnsResolution": "dnsResolutionResults",
    "storageAccount": "storageAccountResults",
    "keyVault": "keyVaultResults",
    "containerRegistry": "containerRegistryResults",
    "applicationInsights": "applicationInsightsResults",
    "others": "otherResults",
}


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.post(f"{WORKSPACE}/diagnose", _begin),
        web.get(f"{LOCATION}/workspaceOperationsStatus/{{operation}}", _get_result),
    ]


async def _begin(request: web.Request) -> web.Response:
    """Accept a check, whose result is at the address in `Location` alone."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    asked = (await json_body(request, DiagnoseSchema)).get("value") or {}
    operation = str(uuid.uuid4())
    # Guess: without any part in the request, all are checked.
    context.store.diagnoses[operation] = tuple(part for part in _RESULTS if part in asked) or tuple(_RESULTS)
    query = urlencode({"api-version": request.query["api-version"], "type": "location"})
    place = f"/subscriptions/{workspace.subscription_id}/providers/{PROVIDER}/locations/{workspace.location}"
    location = f"{context.base_url}{place}/workspaceOperationsStatus/{operation}?{query}"
    return aml_empty(request, status=202, headers={"Location": location})


async def _get_result(request: web.Request) -> web.Response:
    """Return the result: the emulator's workspaces have no faults of this kind.

    Recorded: it was there at the first poll after 30 s.
    """
    parts = request.app[CONTEXT].store.diagnoses.get(request.match_info["operation"])
    if parts is None:
        # Guess: the answer for an operation that does not exist was not recorded.
        raise ServiceError(404, "UserError", "The operation was not found.", inner=["NotFoundError"])
    return aml_json(request, {"value": {_RESULTS[part]: [] for part in parts}})
