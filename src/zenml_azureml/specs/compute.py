"""Specs of computes: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True)
class Serverless:
    """Compute that Azure ML creates for the job and deletes after it."""


@dataclass(frozen=True)
class ComputeIdentity:
    """The managed identity of a compute, for its jobs' access to Azure.

    Attributes:
        system_assigned: True for a system-assigned identity.
        user_assigned: ARM ids of user-assigned identities.
    """

    system_assigned: bool = False
    user_assigned: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComputeSchedule:
    """A schedule by which a compute instance starts or stops.

    Attributes:
        action: `start` or `stop`.
        cron: The times, as a cron expression: `0 19 * * 1-5`.
        time_zone: The time zone of `cron`, by its Windows name: `W. Europe Standard Time`.
    """

    action: Literal["start", "stop"]
    cron: str
    time_zone: str = "UTC"


@dataclass(frozen=True)
class ComputeInstance:
    """A compute instance, which is created with these properties if it is missing.

    Attributes:
        name: Its name in the workspace.
        size: VM size, e.g. `Standard_DS3_v2`; None leaves it to Azure.
        idle_time_before_shutdown: Longest time for which it may be idle before it shuts down; None for no limit.
        ssh_public_key: Public key that may log in by SSH; None for no SSH.
        vnet_name: Virtual network that it is in, if `subnet` is only a name.
        subnet: Subnet: its name, or its ARM id.
        identity: Its managed identity.
        schedules: Times at which it starts and stops by itself.
        start_if_stopped: True to start it if it is stopped; otherwise that is an error.
        tags: Its tags if it is created.
    """

    name: str
    size: str | None = None
    idle_time_before_shutdown: timedelta | None = None
    ssh_public_key: str | None = None
    vnet_name: str | None = None
    subnet: str | None = None
    identity: ComputeIdentity | None = None
    schedules: tuple[ComputeSchedule, ...] = ()
    start_if_stopped: bool = True
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ComputeCluster:
    """A compute cluster, which is created with these properties if it is missing.

    Attributes:
        name: Its name in the workspace.
        size: VM size of its nodes; None leaves it to Azure.
        location: Azure region; None for the workspace's own.
        min_instances: Number of nodes that are kept even when idle; None leaves it to Azure (0).
        max_instances: Largest number of nodes; None leaves it to Azure (4).
        idle_time_before_scale_down: Longest time for which a node may be idle before it is released.
        tier: `dedicated` or `low_priority`.
        ssh_public_key: Public key that may log in to the nodes by SSH; None for no SSH.
        ssh_admin_username: Name to log in with; None for `azureuser`.
        vnet_name: Virtual network that the nodes are in, if `subnet` is only a name.
        subnet: Subnet: its name, or its ARM id.
        identity: Its managed identity.
        tags: Its tags if it is created.
    """

    name: str
    size: str | None = None
    location: str | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    idle_time_before_scale_down: timedelta | None = None
    tier: str | None = None
    ssh_public_key: str | None = None
    ssh_admin_username: str | None = None
    vnet_name: str | None = None
    subnet: str | None = None
    identity: ComputeIdentity | None = None
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class ExistingCompute:
    """An existing compute target of any kind; nothing is created.

    Attributes:
        name: Its name in the workspace.
        start_if_stopped: True to start an instance if it is stopped; otherwise that is an error.
    """

    name: str
    start_if_stopped: bool = True


ComputeSpec = Serverless | ComputeInstance | ComputeCluster | ExistingCompute
