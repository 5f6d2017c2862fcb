"""Refusals of the service for computes.

Some refusals answer the request itself (`ServiceError`); others end the operation that it has begun
(`Refusal`), and users find them in a Failed operation and in the compute's `provisioningErrors`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from zenml_azureml.emulator.http.responses import ServiceError, not_emulated
from zenml_azureml.emulator.resources import Compute
from zenml_azureml.emulator.services.aml.catalogue import catalogue
from zenml_azureml.emulator.services.aml.quota import Refusal, Use, priority_of, refuse_nodes
from zenml_azureml.emulator.state import Store, Workspace
from zenml_azureml.emulator.types import Json

_log = logging.getLogger(__name__)

KINDS = ("AmlCompute", "ComputeInstance", "Kubernetes")

_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9\-]{2,23}")
#: Attached computes have the rule of older computes: https://github.com/MicrosoftDocs/azure-docs/issues/55961
_ATTACHED_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9\-]{1,15}")
_IN_BETWEEN = ("Creating", "Updating", "Deleting", "Starting", "Stopping", "Restarting")

#: What can be done to an instance: the state that it must be in, on the way, and afterwards.
INSTANCE_ACTIONS = {
    "start": ("Stopped", "Starting", "Running"),
    "stop": ("Running", "Stopping", "Stopped"),
    "restart": ("Running", "Restarting", "Running"),
}


def check_put(name: str, request: Json, existing: Compute | None) -> None:
    """Refuse a PUT that the service answers with an error at once.

    Raises:
        ServiceError: 400 for a bad name, kind, size or scale, and for what cannot be changed;
            409 while something else is being done to the compute.
    """
    properties = request.get("properties") or {}
    kind = properties.get("computeType")
    if not (_ATTACHED_NAME if kind == "Kubernetes" else _NAME).fullmatch(name):
        raise _user_error(
            # Guess: quoted by users of the first SDK's check (MicrosoftDocs/pipelines-azureml
            # issue 19); never recorded as the answer to a PUT.
            f"Compute name '{name}' is not available. Reason: Invalid. Message: A name for an Azure "
            "ML Compute Instance must be between 3 and 24 characters in length and must use only "
            "numbers, letters and minus symbol (-), must start with letters. Numbers cannot be the "
            "ending of the name if the previous character is a minus symbol (-). Please specify a "
            "different Azure ML Instance name"
        )
    # Guess: the message of every refusal below.
    if kind is None:
        raise _user_error("The property computeType is required.")
    if kind not in KINDS:
        raise not_emulated(f"A compute of the type '{kind}'")
    inner = properties.get("properties") or {}
    if kind == "Kubernetes":
        if not properties.get("resourceId"):
            raise _user_error("The property resourceId is required.")
    elif not inner.get("vmSize"):
        raise _user_error("The property vmSize is required.")
    if kind == "AmlCompute":
        _check_scale(inner.get("scaleSettings") or {})
    if existing is None:
        return
    if existing.kind != kind:
        raise _user_error(
            f"The specified name {name} is already in use and is therefore unavailable: it is of type {existing.kind}."
        )
    check_idle(existing)
    if kind == "Kubernetes" or existing.provisioning_state == "Failed":
        return
    if inner["vmSize"].upper() != existing.inner["vmSize"]:
        raise _user_error(f"The vmSize of compute {name} cannot be changed from {existing.inner['vmSize']}.")


def check_name_free(store: Store, workspace: Workspace, name: str, location: str) -> None:
    """Refuse a new instance whose name another workspace of the region has.

    Raises:
        ServiceError: 400.
    """
    for other in store.workspaces:
        found = other.find_compute(name) if other is not workspace else None
        if found and found.kind == "ComputeInstance" and found.body["location"] == location:
            raise _user_error(
                # Guess: quoted by a user of the first SDK, never recorded as the answer to a PUT.
                f"Compute name '{name}' is not available. Reason: AlreadyExists. Message: The "
                f"specified name {name} is already in use and is therefore unavailable"
            )


def check_scale_change(compute: Compute, request: Json) -> Json:
    """Return the scale settings that a PATCH requests.

    Raises:
        ServiceError: 400 if the compute has none or they are invalid, 409 while it is changed.
    """
    if compute.kind != "AmlCompute":
        raise not_supported("Update", compute)
    properties = request.get("properties") or {}
    scale: Json = (properties.get("properties") or {}).get("scaleSettings") or {}
    _check_scale(scale)
    check_idle(compute)
    return scale


def check_idle(compute: Compute) -> None:
    """Refuse while something is being done to the compute.

    That it is a 409 was quoted by users (microsoft/vscode-tools-for-ai issue 2673).

    Raises:
        ServiceError: 409.
    """
    for state in (compute.provisioning_state, compute.inner.get("state")):
        if state in _IN_BETWEEN:
            # Guess: the message, and the same refusal of a second PUT.
            raise ServiceError(
                409,
                "Conflict",
                f"Compute {compute.name} is in state {state}. Wait until that has ended.",
            )


def not_supported(action: str, compute: Compute) -> ServiceError:
    """Return the refusal of an action of the other kind only (quoted: MicrosoftDocs/azure-docs issue 85756)."""
    return _user_error(f"Compute{action} with computeType {compute.kind} is not supported.")


def refuse_compute(body: Json, others: Iterable[Use]) -> Refusal | None:
    """Return the reason why a compute cannot be created as requested; None if it can."""
    properties = body["properties"]
    inner = properties["properties"]
    kind = properties["computeType"]
    if kind == "Kubernetes":
        return None
    size = catalogue().find(inner["vmSize"])
    offered = [s for s in catalogue().sizes_in(body["location"]) if kind in s.compute_types]
    low_priority = priority_of(inner) == "LowPriority"
    if size not in offered or (low_priority and not size.low_priority_capable):
        if size is not None and size.family.retired_on:
            _log.info("Azure retired %s on %s; its successor is %s.", size.name, size.family.retired_on, size.successor)
        names = ",".join(s.name.upper() for s in offered)
        return Refusal(
            "InvalidPropertyValue",
            f"The specified value {inner['vmSize']} for property Cluster.Properties.VMSize is not a "
            f"supported VM size. Supported VM sizes: {names}",
        )
    minimum = 1 if kind == "ComputeInstance" else inner["scaleSettings"]["minNodeCount"]
    return refuse_nodes(size, priority_of(inner), minimum, list(others))


def refuse_action(compute: Compute, action: str) -> Refusal | None:
    """Return the reason why an instance cannot be started, stopped or restarted; None if it can.

    The refusal to start one that runs was quoted (microsoft/vscode-tools-for-ai issue 2096).
    """
    needed = INSTANCE_ACTIONS[action][0]
    if compute.inner["state"] == needed:
        return None
    # Guess: the refusals to stop and to restart, modelled on it.
    verb = action.capitalize()
    return Refusal(
        f"{verb}ComputeInstanceOnlyAllowedIn{needed}State",
        f"{verb} Azure ML Compute Instance is only allowed when the instance {compute.name} is in "
        f"'{needed.lower()}' state",
    )


def _check_scale(scale: Json) -> None:
    most, least = scale.get("maxNodeCount"), scale.get("minNodeCount") or 0
    if not isinstance(most, int) or most < 1 or not 0 <= least <= most:
        raise _user_error(
            "scaleSettings need a maxNodeCount of at least 1, and a minNodeCount from 0 to "
            f"maxNodeCount; maxNodeCount is {most}, minNodeCount is {least}."
        )


def _user_error(message: str) -> ServiceError:
    return ServiceError(400, "UserError", message)
