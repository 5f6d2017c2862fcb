"""Drift: differences between an existing compute and the settings of a step. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from zenml_azureml.azure.compute.state import FoundCompute
from zenml_azureml.specs.compute import (
    ComputeCluster,
    ComputeIdentity,
    ComputeInstance,
    ComputeSchedule,
    ExistingCompute,
)

T = TypeVar("T")


def differences(request: ComputeInstance | ComputeCluster | ExistingCompute, found: FoundCompute) -> tuple[str, ...]:
    """Compare an existing compute with the settings of a step.

    Args:
        request: The spec of the step; settings that it leaves to Azure are not compared.
        found: The compute.

    Returns:
        A sentence for each setting that differs, naming it and both values.
    """
    if isinstance(request, ExistingCompute):
        return ()
    pairs = _of_both(request, found)
    pairs += _of_instance(request, found) if isinstance(request, ComputeInstance) else _of_cluster(request, found)
    return tuple(
        f"`{setting}`: the step asks for {wanted}, the {found.label} has {has}. The compute is used unchanged."
        for setting, wanted, has in (pair for pair in pairs if pair is not None)
    )


#: A setting that differs: its name, the value wanted, the value found.
_Pair = tuple[str, str, str]


def _of_both(request: ComputeInstance | ComputeCluster, found: FoundCompute) -> list[_Pair | None]:
    return [
        _compare("size", request.size, found.size, same=_same_text),
        _compare("subnet", _subnet(request), found.subnet, same=_same_subnet),
        _compare("compute_identity", request.identity, found.identity, same=_same_identity, show=_show_identity),
    ]


def _of_instance(request: ComputeInstance, found: FoundCompute) -> list[_Pair | None]:
    return [
        _compare(
            "idle_time_before_shutdown_minutes",
            request.idle_time_before_shutdown,
            found.idle_time,
            show=lambda span: f"{span.total_seconds() / 60:g} minutes",
        ),
        _compare(
            "schedules", request.schedules or None, found.schedules or None, same=_same_schedules, show=_show_schedules
        ),
        _ssh_of_instance(request, found),
    ]


def _of_cluster(request: ComputeCluster, found: FoundCompute) -> list[_Pair | None]:
    return [
        _compare("location", request.location, found.location, same=_same_region),
        _compare("tier", request.tier, found.tier, same=_same_tier),
        _compare("min_instances", request.min_instances, found.min_instances),
        _compare("max_instances", request.max_instances, found.max_instances),
        _compare(
            "idle_time_before_scaledown_down",
            request.idle_time_before_scale_down,
            found.idle_time,
            show=lambda span: f"{span.total_seconds():g} seconds",
        ),
        _compare("ssh_admin_username", request.ssh_admin_username, found.ssh_admin_username),
        _compare(
            "ssh_public_key",
            request.ssh_public_key,
            found.ssh_public_key,
            same=lambda wanted, has: wanted.strip() == has.strip(),
            show=_show_key,
        ),
    ]


def _compare(
    setting: str,
    wanted: T | None,
    has: T | None,
    *,
    same: Callable[[T, T], bool] = lambda wanted, has: wanted == has,
    show: Callable[[T], str] = str,
) -> _Pair | None:
    if wanted is None or (has is not None and same(wanted, has)):
        return None
    return setting, show(wanted), "none" if has is None else show(has)


def _ssh_of_instance(request: ComputeInstance, found: FoundCompute) -> _Pair | None:
    # The keys cannot be compared: Azure does not show the key of an instance.
    if request.ssh_public_key is not None and found.ssh_enabled is False:
        return "ssh_public_key", _show_key(request.ssh_public_key), "no SSH"
    return None


def _subnet(request: ComputeInstance | ComputeCluster) -> str | None:
    if request.subnet is None or request.vnet_name is None:
        return request.subnet
    return f"virtualNetworks/{request.vnet_name}/subnets/{request.subnet}"


def _same_subnet(wanted: str, has: str) -> bool:
    # A name stands for a subnet of the workspace's own subscription and resource group.
    return f"/{has.lstrip('/')}".lower().endswith(f"/{wanted.lstrip('/')}".lower())


def _same_text(wanted: str, has: str) -> bool:
    return wanted.lower() == has.lower()


def _same_region(wanted: str, has: str) -> bool:
    return _same_text(wanted.replace(" ", ""), has.replace(" ", ""))


def _same_tier(wanted: str, has: str) -> bool:
    return _same_text(re.sub("[_-]", "", wanted), re.sub("[_-]", "", has))


def _same_identity(wanted: ComputeIdentity, has: ComputeIdentity) -> bool:
    return wanted.system_assigned == has.system_assigned and (
        {arm_id.lower() for arm_id in wanted.user_assigned} == {arm_id.lower() for arm_id in has.user_assigned}
    )


def _show_identity(identity: ComputeIdentity) -> str:
    parts = ["a system-assigned one"] * identity.system_assigned + [f"`{arm_id}`" for arm_id in identity.user_assigned]
    return " and ".join(parts) or "none"


def _same_schedules(wanted: tuple[ComputeSchedule, ...], has: tuple[ComputeSchedule, ...]) -> bool:
    return set(wanted) == set(has)


def _show_schedules(schedules: tuple[ComputeSchedule, ...]) -> str:
    return ", ".join(f"{schedule.action} at `{schedule.cron}` ({schedule.time_zone})" for schedule in schedules)


def _show_key(key: str) -> str:
    """Return enough of a public key to distinguish it from another."""
    return f"`...{key.split()[1][-12:]}`" if len(key.split()) > 1 else "a key"
