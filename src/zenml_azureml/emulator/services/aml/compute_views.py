"""Computes as the service answers them, at each point of their life (recorded: compute_*.json).

Kept is what api-version 2024-04-01 shows; `compute_versions` takes away what older ones do not know.
"""

from __future__ import annotations

import copy
import uuid
from datetime import datetime

from zenml_azureml.emulator.http.responses import timestamp
from zenml_azureml.emulator.resources import Compute
from zenml_azureml.emulator.services.aml import kubernetes
from zenml_azureml.emulator.services.aml.quota import Refusal, node_count
from zenml_azureml.emulator.services.entra.machine_identities import user_assigned
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

#: Properties of an instance with a default (recorded: compute_list_2024.json).
INSTANCE_DEFAULTS: Json = {
    "enableNodePublicIp": True,
    "enableBatchPrivateLink": False,
    "enableOSPatching": False,
    "releaseQuotaOnStop": False,
    "enableSSO": True,
}

#: Properties of an instance that exist only if they are sent.
_AS_SENT = ("enableRootAccess",)

# Who acts in the emulator: it has one user.
_USER_ID = "4ce6c0c6-6f6f-47f4-b4f7-58c73129265b"


def accepted(workspace: Workspace, name: str, request: Json, *, tenant_id: str, now: datetime) -> Json:
    """Return the answer to a PUT: much of what was sent is still null in it.

    Args:
        workspace: Its workspace.
        name: As in the URL.
        request: Body of the PUT.
        tenant_id: The Microsoft Entra tenant of the workspace.
        now: Time of its acceptance.
    """
    sent = request["properties"]
    kind = sent["computeType"]
    inner = sent.get("properties") or {}
    identity = request.get("identity")
    return {
        "id": f"{workspace.path}/computes/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/computes",
        "location": request.get("location") or workspace.location,
        "tags": request.get("tags"),
        **({"identity": _identity(identity, tenant_id)} if identity else {}),
        "properties": {
            "createdOn": timestamp(now),
            "modifiedOn": timestamp(now),
            "disableLocalAuth": bool(sent.get("disableLocalAuth")),
            "description": sent.get("description"),
            "resourceId": sent.get("resourceId"),
            "computeType": kind,
            "provisioningState": "Creating",
            "provisioningErrors": None,
            "provisioningWarnings": None,
            "isAttachedCompute": kind == "Kubernetes",
            "properties": _accepted(kind, inner, tenant_id),
        },
    }


def in_creation(answer: Json) -> Json:
    """Return the first answer to a GET, made from the answer to the PUT."""
    return {**copy.deepcopy(answer), "tags": answer["tags"] or {}}


def created(body: Json, request: Json, *, now: datetime) -> Json:
    """Return a created compute, from one in creation and the body of its PUT."""
    body = copy.deepcopy(body)
    sent = request["properties"].get("properties") or {}
    properties = body["properties"]
    inner = properties["properties"]
    if properties["computeType"] == "ComputeInstance":
        inner = _created_instance(inner, sent, body["name"], body["location"], now)
    elif properties["computeType"] == "AmlCompute":
        inner = _created_cluster(inner, sent, properties["createdOn"])
    properties.update(
        modifiedOn=timestamp(now), provisioningState="Succeeded", provisioningWarnings={}, properties=inner
    )
    body["properties"] = insert(properties, "computeLocation", body["location"], after="computeType")
    return body


def failed(body: Json, refusal: Refusal, *, now: datetime) -> Json:
    """Return a compute whose creation failed; it stays, as Failed, until it is deleted."""
    body = copy.deepcopy(body)
    cause = {"error": {"code": refusal.code, "message": refusal.message}}
    body["properties"].update(modifiedOn=timestamp(now), provisioningState="Failed", provisioningErrors=[cause])
    return body


def with_nodes(compute: Compute) -> Json:
    """Return a compute with the nodes that it has at this moment."""
    body = copy.deepcopy(compute.body)
    inner = body["properties"]["properties"]
    if compute.kind == "AmlCompute" and inner["currentNodeCount"] is not None:
        running = sum(compute.busy_nodes.values())
        nodes = node_count(compute)
        inner["currentNodeCount"] = inner["targetNodeCount"] = nodes
        inner["nodeStateCounts"].update(runningNodeCount=running, idleNodeCount=nodes - running)
    return body


def nodes_body(compute: Compute) -> Json:
    """Return the nodes of a cluster (recorded: compute_list_nodes_2024.json, example_compute_listnodes.json)."""
    runs = [name for name, count in compute.busy_nodes.items() for _ in range(count)]
    nodes: list[Json] = []
    for index in range(node_count(compute)):
        node = uuid.uuid5(uuid.NAMESPACE_URL, f"{compute.body['id']}/{index}")
        nodes.append(
            {
                "nodeId": f"tvmps_{node.hex}_d",
                "privateIpAddress": f"10.0.0.{4 + index}",
                "publicIpAddress": "203.0.113.10",
                "port": 50000 + index,
                "nodeState": "running" if index < len(runs) else "idle",
                **({"runId": runs[index]} if index < len(runs) else {}),
            }
        )
    return {"computeType": compute.kind, "nodes": nodes}


def last_operation(name: str, status: str, now: datetime) -> Json:
    """Return the last operation of an instance."""
    return {
        "operationName": name,
        "operationTime": timestamp(now),
        "operationStatus": status,
        "operationTrigger": "User",
    }


def _accepted(kind: str, sent: Json, tenant_id: str) -> Json:
    if kind == "Kubernetes":
        return kubernetes.accepted(sent)
    return _accepted_instance(sent, tenant_id) if kind == "ComputeInstance" else _accepted_cluster(sent)


def _accepted_cluster(sent: Json) -> Json:
    scale = sent["scaleSettings"]
    return {
        "vmSize": sent["vmSize"].upper(),
        "vmPriority": sent.get("vmPriority"),
        "scaleSettings": {
            "maxNodeCount": scale["maxNodeCount"],
            "minNodeCount": scale.get("minNodeCount") or 0,
            "nodeIdleTimeBeforeScaleDown": scale.get("nodeIdleTimeBeforeScaleDown"),
        },
        "subnet": sent.get("subnet"),
        "currentNodeCount": None,
        "targetNodeCount": None,
        "nodeStateCounts": None,
        "allocationState": None,
        "errors": None,
        "remoteLoginPortPublicAccess": sent.get("remoteLoginPortPublicAccess") or "NotSpecified",
        "osType": sent.get("osType") or "Linux",
        "virtualMachineImage": sent.get("virtualMachineImage"),
        "isolatedNetwork": bool(sent.get("isolatedNetwork")),
        "enableNodePublicIp": sent.get("enableNodePublicIp", True),
        "enableBatchPrivateLink": bool(sent.get("enableBatchPrivateLink")),
    }


def _created_cluster(inner: Json, sent: Json, since: str) -> Json:
    credentials = sent.get("userAccountCredentials")
    scale, port = inner["scaleSettings"], inner["remoteLoginPortPublicAccess"]
    inner = {
        **inner,
        # Defaults of the service (recorded: compute_aml_get_2025.json).
        "vmPriority": inner["vmPriority"] or "Dedicated",
        "scaleSettings": {
            **scale,
            "nodeIdleTimeBeforeScaleDown": scale["nodeIdleTimeBeforeScaleDown"] or "PT2M",
        },
        "remoteLoginPortPublicAccess": "Enabled" if port == "NotSpecified" else port,
        "currentNodeCount": 0,
        "targetNodeCount": 0,
        "nodeStateCounts": {
            "preparingNodeCount": 0,
            "runningNodeCount": 0,
            "idleNodeCount": 0,
            "unusableNodeCount": 0,
            "leavingNodeCount": 0,
            "preemptedNodeCount": 0,
        },
        "allocationState": "Resizing",
        "propertyBag": {},
    }
    inner = insert(inner, "allocationStateTransitionTime", since, after="allocationState")
    if not credentials:
        return inner
    shown = {
        "adminUserName": credentials.get("adminUserName"),
        "adminUserPassword": None,
        "adminUserSshPublicKey": credentials.get("adminUserSshPublicKey"),
    }
    return insert(inner, "userAccountCredentials", shown, after="scaleSettings")


def _accepted_instance(sent: Json, tenant_id: str) -> Json:
    return {
        "vmSize": sent["vmSize"].upper(),
        "imageVersion": None,
        "imageSku": None,
        "subnet": sent.get("subnet"),
        "sshSettings": None,
        "autologgerSettings": None,
        "errors": None,
        "connectivityEndpoints": None,
        "applications": None,
        "state": None,
        **{key: sent[key] for key in _AS_SENT if key in sent},
        "lastOperation": None,
        "createdBy": {"userOrgId": tenant_id, "userId": _USER_ID},
        "applicationSharingPolicy": None,
        "computeInstanceAuthorizationType": sent.get("computeInstanceAuthorizationType"),
        "personalComputeInstanceSettings": sent.get("personalComputeInstanceSettings"),
        "setupScripts": sent.get("setupScripts"),
        **{key: default if sent.get(key) is None else sent[key] for key, default in INSTANCE_DEFAULTS.items()},
        "dataMounts": None,
        "dataDisks": None,
        "containers": None,
        "updateStatus": None,
        "versions": None,
        "customServices": None,
        "osImageMetadata": None,
        **{key: sent[key] for key in ("idleTimeBeforeShutdown",) if key in sent},
    }


def _created_instance(inner: Json, sent: Json, name: str, location: str, now: datetime) -> Json:
    site = f"https://{name}.{location}.instances.azureml.ms"
    ssh = sent.get("sshSettings") or {}
    inner = {
        **inner,
        "sshSettings": {
            "sshPublicAccess": ssh.get("sshPublicAccess") or "Disabled",
            "adminUserName": "azureuser",
            "sshPort": 4000,
            "adminPublicKey": ssh.get("adminPublicKey"),
        },
        "errors": [],
        "connectivityEndpoints": {
            "publicIpAddress": "203.0.113.10",
            "privateIpAddress": "10.0.0.4",
        },
        "applications": [
            {"displayName": "Jupyter", "endpointUri": f"{site}/tree/"},
            {"displayName": "Jupyter Lab", "endpointUri": f"{site}/lab"},
        ],
        "state": "Running",
        "lastOperation": last_operation("Create", "Succeeded", now),
        "applicationSharingPolicy": sent.get("applicationSharingPolicy") or "Shared",
        "versions": {"runtime": "3.0.02094.0004"},
        "customServices": [],
        "osImageMetadata": {
            "currentImageVersion": "22.09.21",
            "latestImageVersion": "22.09.21",
            "isLatestOsImageVersion": True,
            "osPatchingStatus": None,
        },
    }
    schedules = sent.get("schedules") or {"computeStartStop": []}
    return insert(inner, "schedules", schedules, after="setupScripts")


def _identity(sent: Json, tenant_id: str) -> Json:
    """Return an identity with the ids that the service gives it."""
    own = {"principalId": str(uuid.uuid4()), "tenantId": tenant_id} if "SystemAssigned" in sent["type"] else {}
    if sent["type"] == "SystemAssigned":
        return {"type": "SystemAssigned", **own}
    # Guess: user-assigned identities of a compute were never recorded; this is ARM's usual form.
    return {
        "type": sent["type"],
        **own,
        "userAssignedIdentities": user_assigned(sent.get("userAssignedIdentities") or {}),
    }


def insert(body: Json, key: str, value: object, *, after: str) -> Json:
    """Return `body` with one more key, in the service's order."""
    result: Json = {}
    for name, old in body.items():
        result[name] = old
        if name == after:
            result[key] = value
    return result
