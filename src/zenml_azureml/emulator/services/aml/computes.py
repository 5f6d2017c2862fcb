"""Compute instances and compute clusters: create, change, start, stop, delete."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
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
from zenml_azureml.emulator.http.schemas import ComputeSchema
from zenml_azureml.emulator.resources import Compute, Operation
from zenml_azureml.emulator.services.aml import compute_updates, compute_versions, compute_views, operations
from zenml_azureml.emulator.services.aml.compute_validation import (
    INSTANCE_ACTIONS,
    check_idle,
    check_name_free,
    check_put,
    check_scale_change,
    not_supported,
    refuse_action,
    refuse_compute,
)
from zenml_azureml.emulator.services.aml.quota import Refusal, Use, uses
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_COMPUTE = f"{WORKSPACE}/computes/{{compute}}"


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(f"{WORKSPACE}/computes", list_computes),
        web.get(_COMPUTE, get_compute),
        web.put(_COMPUTE, put_compute),
        web.patch(_COMPUTE, patch_compute),
        web.delete(_COMPUTE, delete_compute),
        web.post(f"{_COMPUTE}/listNodes", list_nodes),
        web.post(f"{_COMPUTE}/{{action:(?ai:start|stop|restart)}}", act_on_instance),
    ]


async def list_computes(request: web.Request) -> web.StreamResponse:
    """Answer the computes of a workspace, the oldest first (recorded: compute_list_2024.json)."""
    computes = list(workspace_of(request).computes.values())
    return paged(request, computes, lambda compute: _shown(request, compute_views.with_nodes(compute)))


async def get_compute(request: web.Request) -> web.StreamResponse:
    """Answer one compute; a missing one is a 404 without a body (recorded: compute_get_404_empty.json)."""
    compute = workspace_of(request).find_compute(request.match_info["compute"])
    if compute is None:
        return aml_empty(request, status=404)
    return aml_json(request, _shown(request, compute_views.with_nodes(compute)))


async def put_compute(request: web.Request) -> web.StreamResponse:
    """Create a compute or change one: 201 either way, and an operation to poll."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    name, sent = request.match_info["compute"], await json_body(request, texts=("tags",))
    checked(ComputeSchema, sent)
    existing = workspace.find_compute(name)
    check_put(name, sent, existing)
    answer = compute_views.accepted(workspace, name, sent, tenant_id=context.tenant_id, now=context.clock.now())
    if existing is None or existing.provisioning_state == "Failed":
        if sent["properties"]["computeType"] == "ComputeInstance":
            check_name_free(context.store, workspace, name, answer["location"])
        operation = _create(context, workspace, answer, sent)
    else:
        answer = compute_updates.changed(answer, existing.body, workspace)
        operation = _update(context, workspace, existing, answer, state="Creating")
    headers = operations.async_headers(request, workspace, operation)
    return aml_json(request, _shown(request, answer), status=201, headers=headers)


async def patch_compute(request: web.Request) -> web.StreamResponse:
    """Change the scale settings of a cluster (recorded: compute_aml_patch_2025.json)."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    compute = workspace.find_compute(request.match_info["compute"])
    sent = await json_body(request, texts=("tags",))
    checked(ComputeSchema, sent)
    if compute is None:
        return aml_empty(request, status=404)
    scale = check_scale_change(compute, sent)
    wanted = compute_views.with_nodes(compute)
    wanted["properties"]["modifiedOn"] = timestamp(context.clock.now())
    wanted["properties"]["properties"]["scaleSettings"].update(scale)
    operation = _update(context, workspace, compute, wanted, state="Updating")
    headers = operations.async_headers(request, workspace, operation)
    body = _shown(request, compute_updates.patched(compute_views.with_nodes(compute), scale, workspace))
    # Guess: 200 in older versions, of which Microsoft's description of the API knows no other.
    status = 202 if compute_versions.is_newer(request.query["api-version"]) else 200
    return aml_json(request, body, status=status, headers=headers)


async def delete_compute(request: web.Request) -> web.StreamResponse:
    """Delete a compute: 202, no body, an operation to poll (recorded: compute_aml_delete.json)."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    compute = workspace.find_compute(request.match_info["compute"])
    if compute is None:
        return aml_empty(request, status=404)
    if request.query.get("underlyingResourceAction", "").lower() not in {"delete", "detach"}:
        # Guess: the message. Microsoft's description of the API requires the parameter.
        raise ServiceError(400, "UserError", "underlyingResourceAction must be Delete or Detach.")
    check_idle(compute)
    compute.body["properties"]["provisioningState"] = "Deleting"

    def finish() -> Refusal | None:
        workspace.computes.pop(compute.name, None)
        return None

    operation = _begin(context, finish)
    headers = operations.async_headers(request, workspace, operation)
    return aml_empty(request, status=202, headers=headers)


async def act_on_instance(request: web.Request) -> web.StreamResponse:
    """Start, stop or restart an instance (recorded: compute_ci_start.json, compute_ci_stop.json)."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    action = request.match_info["action"].lower()
    compute = workspace.find_compute(request.match_info["compute"])
    if compute is None:
        return aml_empty(request, status=404)
    if compute.kind != "ComputeInstance":
        raise not_supported(action.capitalize(), compute)
    check_idle(compute)
    operation = _act(context, compute, action)
    headers = operations.async_headers(request, workspace, operation)
    return aml_empty(request, status=202, headers=headers)


async def list_nodes(request: web.Request) -> web.StreamResponse:
    """Answer the nodes of a cluster."""
    compute = workspace_of(request).find_compute(request.match_info["compute"])
    if compute is None:
        return aml_empty(request, status=404)
    if compute.kind != "AmlCompute":
        raise not_supported("ListNodes", compute)
    return aml_json(request, compute_views.nodes_body(compute))


def _shown(request: web.Request, body: Json) -> Json:
    return compute_versions.for_version(body, request.query["api-version"])


def _create(context: Context, workspace: Workspace, answer: Json, sent: Json) -> Operation:
    others = _other_uses(context, workspace, answer)
    refusal = refuse_compute(answer, others)
    compute = Compute(name=answer["name"], body=compute_views.in_creation(answer), requested=sent)
    workspace.computes.pop(compute.name, None)
    workspace.computes[compute.name] = compute

    def finish() -> Refusal | None:
        now, compute.requested = context.clock.now(), None
        if refusal is not None:
            compute.body = compute_views.failed(compute.body, refusal, now=now)
        else:
            compute.body = compute_views.created(compute.body, sent, now=now)
            if compute.kind == "AmlCompute":
                _later(context, lambda: _become_steady(context, compute))
        return refusal

    return _begin(context, finish)


def _update(context: Context, workspace: Workspace, compute: Compute, wanted: Json, *, state: str) -> Operation:
    refusal = refuse_compute(wanted, _other_uses(context, workspace, wanted))
    before = compute.body
    compute.body = compute_updates.in_update(before, wanted, state=state)

    def finish() -> Refusal | None:
        # Guess: a change that is refused leaves the compute as it was.
        compute.body = before if refusal else compute.body
        compute.body["properties"]["provisioningState"] = "Succeeded"
        return refusal

    return _begin(context, finish)


def _act(context: Context, compute: Compute, action: str) -> Operation:
    refusal = refuse_action(compute, action)
    _, on_the_way, afterwards = INSTANCE_ACTIONS[action]

    def enter(state: str, status: str) -> None:
        now = context.clock.now()
        compute.inner["state"] = state
        compute.inner["lastOperation"] = compute_views.last_operation(action.capitalize(), status, now)
        compute.body["properties"]["modifiedOn"] = timestamp(now)

    def finish() -> Refusal | None:
        if refusal is None:
            enter(afterwards, "Succeeded")
        return refusal

    if refusal is None:
        # Guess: the states on the way were never recorded; the names are those of the SDK.
        enter(on_the_way, "InProgress")
    return _begin(context, finish)


def _begin(context: Context, finish: Callable[[], Refusal | None]) -> Operation:
    """Start an operation that ends with `finish` after its time has passed."""
    operation = operations.begin(context)
    _later(context, lambda: operations.end(operation, finish()))
    return operation


def _later(context: Context, work: Callable[[], None]) -> None:
    """Do `work` in the background, as long from now as provisioning takes."""
    due = context.clock.monotonic() + context.settings.compute_provisioning

    async def run() -> None:
        await context.clock.sleep(due - context.clock.monotonic())
        work()

    context.spawn(run())


def _become_steady(context: Context, compute: Compute) -> None:
    """End the resizing that a new cluster is in for a while (recorded: compute_aml_get_*.json)."""
    compute.inner["allocationState"] = "Steady"
    compute.inner["allocationStateTransitionTime"] = timestamp(context.clock.now())


def _other_uses(context: Context, workspace: Workspace, body: Json) -> list[Use]:
    held = uses(context.store, workspace.subscription_id, body["location"])
    return [use for use in held if use.compute.body["id"] != body["id"]]
