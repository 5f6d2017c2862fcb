"""The headers of Azure ML's answers and of Resource Manager's, and what each request keeps for them."""

from __future__ import annotations

import re
import secrets
import time
import uuid

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT

#: The monotonic second at which a request came in.
STARTED: web.RequestKey[float] = web.RequestKey("started", float)
#: A request's `x-ms-request-id`.
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
#: The headers with the remaining requests, if Resource Manager has counted the request.
REMAINING: web.RequestKey[dict[str, str]] = web.RequestKey("remaining", dict)

_LOCATION = re.compile(r"[A-Za-z0-9]{1,64}")


def location_of(request: web.Request) -> str:
    """Return the region of a request: that in its path, its workspace's, or the emulator's first."""
    asked = request.match_info.get("location", "")
    if _LOCATION.fullmatch(asked):  # it is in headers
        return asked
    store = request.app[CONTEXT].store
    if "workspace" in request.match_info:
        info = request.match_info
        found = store.find_workspace(info["subscription"], info["resource_group"], info["workspace"])
        if found is not None:
            return found.location
    return store.workspaces[0].location


def aml_headers(request: web.Request, response_type: str) -> dict[str, str]:
    """Return Azure ML's usual headers.

    Recorded: compute_op_inprogress_all_headers.json (2022), job_get_completed.json (2026).
    """
    context = request.app[CONTEXT]
    location = location_of(request)
    elapsed = time.monotonic() - request.get(STARTED, time.monotonic())
    trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    return {
        **gateway_headers(request),
        "Request-Context": "appId=cid-v1:2d2e8e63-272e-4b3c-8598-4ee570a0e70d",
        "Server-Timing": f'traceparent;desc="{trace}"',
        "Vary": "Accept-Encoding",
        "azureml-served-by-cluster": f"vienna-{location}-01",
        "x-ms-operation-identifier": f"tenantId={context.tenant_id},"
        f"objectId={context.identity.object_id}/{location}/{uuid.uuid4()}",
        "x-ms-response-type": response_type,
        "x-request-time": f"{elapsed:.3f}",
    }


def gateway_headers(request: web.Request) -> dict[str, str]:
    """Return the headers that ARM adds to every answer."""
    context = request.app[CONTEXT]
    request_id = request.get(REQUEST_ID) or str(uuid.uuid4())
    now = context.clock.now()
    reference = f"Ref A: {secrets.token_hex(16).upper()} Ref B: EMULATOR Ref C: {now:%Y-%m-%dT%H:%M:%SZ}"
    routed = f"{location_of(request).upper()}:{now:%Y%m%dT%H%M%SZ}:{request_id}"
    return {
        "Cache-Control": "no-cache",
        "Expires": "-1",
        "Pragma": "no-cache",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Cache": "CONFIG_NOCACHE",
        "X-Content-Type-Options": "nosniff",
        "X-MSEdge-Ref": reference,
        "x-ms-correlation-request-id": request_id,
        "x-ms-request-id": request_id,
        "x-ms-routing-request-id": routed,
        **request.get(REMAINING, {}),
    }
