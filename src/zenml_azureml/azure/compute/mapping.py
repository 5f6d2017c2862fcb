"""Mapping of computes between the SDK's classes and ours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from azure.ai.ml import entities
from pydantic import TypeAdapter

from zenml_azureml.azure.compute.state import FoundCompute
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import safe_name, safe_tags
from zenml_azureml.specs.compute import ComputeCluster, ComputeIdentity, ComputeInstance, ComputeSchedule

#: Default user name on the nodes of a cluster. Source: azure-ai-ml, ComputeDefaults.
SSH_ADMIN = "azureuser"

_SPAN = TypeAdapter(timedelta)


def entity_of(request: ComputeInstance | ComputeCluster, location: str) -> entities.Compute:
    """Return the SDK's entity that creates a compute.

    Args:
        request: The compute.
        location: Region of a cluster if its spec has none. The SDK would request the workspace to find it, and always
            does so for an instance.

    Returns:
        An entity for `MLClient.compute.begin_create_or_update`. For values that are None in the spec, the SDK's
        defaults apply: Standard_DS3_v2, 0 to 4 nodes, 120 seconds idle (source: azure-ai-ml, ComputeDefaults,
        AmlCompute).

    Raises:
        AzureMLError: If its network is incomplete.
    """
    if isinstance(request, ComputeInstance):
        return _instance(request)
    return _cluster(request, location)


def found_compute(compute: entities.Compute) -> FoundCompute:
    """Convert the SDK's compute to plain values."""
    if isinstance(compute, entities.ComputeInstance):
        return FoundCompute(
            kind="compute-instance",
            size=compute.size,
            state=_word(compute.state),
            idle_time=span_of(compute.idle_time_before_shutdown),
            ssh_enabled=compute.ssh_public_access_enabled,
            subnet=compute.network_settings.subnet if compute.network_settings else None,
            identity=_found_identity(compute.identity),
            schedules=_found_schedules(compute.schedules),
            **_of_all(compute),
        )
    if isinstance(compute, entities.AmlCompute):
        return FoundCompute(
            kind="compute-cluster",
            size=compute.size,
            tier=compute.tier,
            min_instances=compute.min_instances,
            max_instances=compute.max_instances,
            idle_time=span_of(compute.idle_time_before_scale_down),
            ssh_public_key=compute.ssh_settings.ssh_key_value if compute.ssh_settings else None,
            ssh_admin_username=compute.ssh_settings.admin_username if compute.ssh_settings else None,
            subnet=compute.network_settings.subnet if compute.network_settings else None,
            identity=_found_identity(compute.identity),
            **_of_all(compute),
        )
    return FoundCompute(
        kind="kubernetes" if isinstance(compute, entities.KubernetesCompute) else None, **_of_all(compute)
    )


def span_of(value: object) -> timedelta | None:
    """Convert a duration from any form that the SDK returns.

    Args:
        value: A `timedelta`, seconds as a number or in digits, or an ISO 8601 duration (`PT30M`).

    Returns:
        The duration; None for None.

    Raises:
        pydantic.ValidationError: For anything else.
    """
    if value is None:
        return None
    seconds = isinstance(value, str) and value.isdecimal()
    return _SPAN.validate_python(float(str(value)) if seconds else value)


def _instance(request: ComputeInstance) -> entities.ComputeInstance:
    idle = request.idle_time_before_shutdown
    return entities.ComputeInstance(
        name=request.name,
        size=request.size,
        idle_time_before_shutdown_minutes=None if idle is None else int(idle.total_seconds()) // 60,
        # With None, its network decides about SSH; a key is only of use if SSH is open.
        ssh_public_access_enabled=True if request.ssh_public_key else None,
        ssh_settings=(
            entities.ComputeInstanceSshSettings(ssh_key_value=request.ssh_public_key)
            if request.ssh_public_key
            else None
        ),
        network_settings=_network(request),
        identity=_identity(request.identity),
        schedules=_schedules(request.schedules),
        tags=dict(request.tags) or None,
    )


def _cluster(request: ComputeCluster, location: str) -> entities.AmlCompute:
    idle = request.idle_time_before_scale_down
    options: dict[str, Any] = {
        "min_instances": request.min_instances,
        "max_instances": request.max_instances,
        "idle_time_before_scale_down": None if idle is None else int(idle.total_seconds()),
        "tier": request.tier,
    }
    # None does not mean "leave it to Azure" here: it would replace the SDK's defaults.
    given = {name: value for name, value in options.items() if value is not None}
    ssh = None
    if request.ssh_public_key is not None:
        ssh = entities.AmlComputeSshSettings(
            admin_username=request.ssh_admin_username or SSH_ADMIN, ssh_key_value=request.ssh_public_key
        )
    return entities.AmlCompute(
        name=request.name,
        size=request.size,
        location=request.location or location,
        ssh_settings=ssh,
        network_settings=_network(request),
        identity=_identity(request.identity),
        tags=dict(request.tags) or None,
        **given,
    )


def _network(request: ComputeInstance | ComputeCluster) -> entities.NetworkSettings | None:
    if request.subnet is None and request.vnet_name is None:
        return None
    is_arm_id = request.subnet is not None and request.subnet.startswith("/")
    if request.subnet is None or (request.vnet_name is None and not is_arm_id):
        # The SDK would write the text "None" into the subnet's ARM id.
        raise AzureMLError(
            f"The network of the compute `{request.name}` is incomplete: `vnet_name={request.vnet_name!r}`, "
            f"`subnet={request.subnet!r}`.",
            hint="Set both `vnet_name` and `subnet` to a name, or `subnet` alone to the subnet's ARM id.",
        )
    return entities.NetworkSettings(vnet_name=request.vnet_name, subnet=request.subnet)


def _identity(identity: ComputeIdentity | None) -> entities.IdentityConfiguration | None:
    if identity is None:
        return None
    types = ["system_assigned"] * identity.system_assigned + ["user_assigned"] * bool(identity.user_assigned)
    return entities.IdentityConfiguration(
        # Source: azure-ai-ml, constants/_compute.py, IdentityType.
        type=",".join(types),
        user_assigned_identities=[
            entities.ManagedIdentityConfiguration(resource_id=arm_id) for arm_id in identity.user_assigned
        ],
    )


def _schedules(schedules: tuple[ComputeSchedule, ...]) -> entities.ComputeSchedules | None:
    if not schedules:
        return None
    return entities.ComputeSchedules(
        compute_start_stop=[
            entities.ComputeStartStopSchedule(
                trigger=entities.CronTrigger(expression=schedule.cron, time_zone=schedule.time_zone),
                action=entities.ComputePowerAction(schedule.action.capitalize()),
            )
            for schedule in schedules
        ]
    )


def _of_all(compute: entities.Compute) -> dict[str, Any]:
    """Return the fields that every kind of compute has."""
    return {
        "name": safe_name(str(compute.name)),
        "location": compute.location,
        "provisioning_state": _word(compute.provisioning_state),
        "error_code": compute.provisioning_errors,
        "created_on": compute.created_on,
        "tags": safe_tags(compute.tags),
    }


def _found_identity(identity: entities.IdentityConfiguration | None) -> ComputeIdentity | None:
    if identity is None:
        return None
    return ComputeIdentity(
        system_assigned="system" in str(identity.type).lower(),
        user_assigned=tuple(str(one.resource_id) for one in identity.user_assigned_identities or []),
    )


def _found_schedules(schedules: entities.ComputeSchedules | None) -> tuple[ComputeSchedule, ...]:
    found: Iterable[entities.ComputeStartStopSchedule] = (schedules and schedules.compute_start_stop) or []
    return tuple(
        ComputeSchedule(
            action="start" if str(_word(schedule.action)).lower() == "start" else "stop",
            # The other kind of trigger is a recurrence, which no settings can request.
            cron=str(getattr(schedule.trigger, "expression", "a recurrence")),
            time_zone=str(_word(getattr(schedule.trigger, "time_zone", ""))),
        )
        for schedule in found
    )


def _word(value: object) -> str | None:
    """Return the value of one of the SDK's enums, whose `str` is something else, or of another object."""
    return None if value is None else safe_name(str(getattr(value, "value", value)))
