"""What a step asks of a compute: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True)
class Serverless:
    """Compute that Azure ML brings up for the job and takes down after it."""


@dataclass(frozen=True)
class ComputeIdentity:
    """The managed identity of a compute, for what its jobs do with Azure.

    Attributes:
        system_assigned: Whether it has one of its own.
        user_assigned: ARM ids of user-assigned identities.
    """

    system_assigned: bool = False
    user_assigned: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComputeSchedule:
    """When a compute instance starts or stops by itself.

    Attributes:
        action: What is done.
        cron: When, as a cron expression: `0 19 * * 1-5`.
        time_zone: The time zone of `cron`, by the name that Windows gives it: `W. Europe Standard Time`.
    """

    action: Literal["start", "stop"]
    cron: str
    time_zone: str = "UTC"


@dataclass(frozen=True)
class ComputeInstance:
    """The compute instance of that name, created with these properties where it is missing.

    Attributes:
        name: Its name in the workspace.
        size: VM size, e.g. `Standard_DS3_v2`; None leaves it to Azure.
        idle_time_before_shutdown: How long it may be idle before it shuts itself down; None for ever.
        ssh_public_key: Public key of whoever may log in by SSH; None for no SSH.
        vnet_name: Virtual network that it is in, where `subnet` is only a name.
        subnet: Subnet: its name, or its ARM id.
        identity: Its managed identity.
        schedules: When it starts and stops by itself.
        start_if_stopped: Whether it is started when it is found stopped; otherwise that is an error.
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


@dataclass(frozen=True)
class ComputeCluster:
    """The compute cluster of that name, created with these properties where it is missing.

    Attributes:
        name: Its name in the workspace.
        size: VM size of its nodes; None leaves it to Azure.
        location: Azure region; None for the workspace's own.
        min_instances: Nodes that are kept even when idle; None leaves it to Azure (0).
        max_instances: Nodes at the most; None leaves it to Azure (4).
        idle_time_before_scale_down: How long a node may be idle before it is released.
        tier: `dedicated` or `low_priority`.
        ssh_public_key: Public key of whoever may log in to the nodes by SSH; None for no SSH.
        ssh_admin_username: Name to log in with; None for `azureuser`.
        vnet_name: Virtual network that the nodes are in, where `subnet` is only a name.
        subnet: Subnet: its name, or its ARM id.
        identity: Its managed identity.
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


@dataclass(frozen=True)
class ExistingCompute:
    """Whatever compute target exists under that name, of either kind; nothing is created.

    Attributes:
        name: Its name in the workspace.
        start_if_stopped: Whether an instance is started when it is found stopped; otherwise that is an error.
    """

    name: str
    start_if_stopped: bool = True


ComputeSpec = Serverless | ComputeInstance | ComputeCluster | ExistingCompute
