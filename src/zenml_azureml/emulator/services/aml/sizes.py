"""`vmSizes` and `usages`: what a region offers, and what of it a subscription may have."""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import aml_json, subscription_not_found
from zenml_azureml.emulator.services.aml.catalogue import catalogue, size_body
from zenml_azureml.emulator.services.aml.quota import usage_rows
from zenml_azureml.emulator.state import PROVIDER

LOCATION = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{location}}"


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(f"{LOCATION}/vmSizes", list_sizes),
        web.get(f"{LOCATION}/usages", list_usages),
    ]


async def list_sizes(request: web.Request) -> web.StreamResponse:
    """Answer the VM sizes of a region, all on one page."""
    _subscription_of(request)
    sizes = catalogue().sizes_in(request.match_info["location"])
    return aml_json(request, {"value": [size_body(size) for size in sizes]})


async def list_usages(request: web.Request) -> web.StreamResponse:
    """Answer the quota of a subscription in a region and what is used of it, all on one page."""
    subscription = _subscription_of(request)
    location = request.match_info["location"]
    rows = usage_rows(request.app[CONTEXT].store, subscription, location)
    return aml_json(request, {"value": rows})


def _subscription_of(request: web.Request) -> str:
    subscription = request.match_info["subscription"]
    workspaces = request.app[CONTEXT].store.workspaces
    if all(w.subscription_id.lower() != subscription.lower() for w in workspaces):
        raise subscription_not_found(subscription)
    return subscription
