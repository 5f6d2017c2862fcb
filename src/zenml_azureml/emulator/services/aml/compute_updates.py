"""Computes that are changed: answers to a PUT of one that exists, to a PATCH, and what it is like meanwhile."""

from __future__ import annotations

import copy

from zenml_azureml.emulator.services.aml.compute_views import insert
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: What the answer to an update does not say of a cluster's nodes, and what it leaves out.
_UNKNOWN = ("currentNodeCount", "targetNodeCount", "nodeStateCounts", "allocationState")
_LEFT_OUT = ("allocationStateTransitionTime", "propertyBag")


def changed(answer: Json, existing: Json, workspace: Workspace) -> Json:
    """Return the answer to a PUT of a compute that exists (recorded: compute_aml_put_update_2026.json).

    Args:
        answer: The answer to the PUT of a new one.
        existing: The compute as it is.
        workspace: Its workspace.
    """
    properties = {
        **answer["properties"],
        "createdOn": existing["properties"]["createdOn"],
        "provisioningWarnings": {},
    }
    if properties["computeType"] == "AmlCompute":
        properties["resourceId"] = _cluster_id(workspace, existing["name"])
    properties = insert(properties, "computeLocation", answer["location"], after="computeType")
    return {**answer, "tags": answer["tags"] or {}, "properties": properties}


def patched(body: Json, scale: Json, workspace: Workspace) -> Json:
    """Return the answer to a PATCH of a cluster (recorded: compute_aml_patch_2025.json).

    Args:
        body: The cluster, as a GET shows it while it changes.
        scale: The scale settings of the request.
        workspace: Its workspace.
    """
    body = copy.deepcopy(body)
    properties = body["properties"]
    inner = {key: value for key, value in properties["properties"].items() if key not in _LEFT_OUT}
    inner.update(dict.fromkeys(_UNKNOWN))
    idle = scale.get("nodeIdleTimeBeforeScaleDown")
    inner["scaleSettings"] = {**inner["scaleSettings"], "nodeIdleTimeBeforeScaleDown": idle}
    properties["properties"], properties["resourceId"] = inner, _cluster_id(workspace, body["name"])
    return body


def in_update(body: Json, answer: Json, *, state: str) -> Json:
    """Return a cluster that is changing to the state in the answer to a PUT or PATCH."""
    body = copy.deepcopy(body)
    properties = body["properties"]
    properties.update(
        modifiedOn=answer["properties"]["modifiedOn"],
        provisioningState=state,
        provisioningErrors=None,
        description=answer["properties"]["description"],
    )
    for key in ("scaleSettings", "idleTimeBeforeShutdown", "instanceTypes", "defaultInstanceType"):
        if key in answer["properties"]["properties"]:
            properties["properties"][key] = answer["properties"]["properties"][key]
    body["tags"] = answer["tags"] or {}
    if "identity" in answer:
        body["identity"] = answer["identity"]
    return body


def _cluster_id(workspace: Workspace, name: str) -> str:
    return (
        f"/subscriptions/{workspace.subscription_id}/resourceGroups/{workspace.resource_group}"
        f"/providers/Microsoft.BatchAI/workspaces/{workspace.name}/clusters/{name}"
    )
