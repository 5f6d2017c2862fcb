"""The state of a compute, and the next action for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Literal

from zenml_azureml.specs.compute import ComputeIdentity, ComputeSchedule

#: Kinds of compute that a command job can run on, as the step operator's `mode` names them.
ComputeKind = Literal["serverless", "compute-instance", "compute-cluster", "kubernetes"]


@dataclass(frozen=True)
class FoundCompute:
    """A compute of the workspace, as Azure describes it. None if Azure does not report a value, or there is none.

    Attributes:
        name: Its name in the workspace.
        kind: Its kind; None for kinds that cannot run command jobs.
        size: VM size.
        state: State of a compute instance; None while it is being created, and for everything else.
        provisioning_state: State of its creation, change or deletion.
        error_code: Code of the first of its provisioning errors.
        created_on: Time of its creation; only used to distinguish it from another one of the same name.
        location: Region of its nodes.
        tier: `dedicated` or `low_priority`.
        min_instances: Nodes that a cluster keeps when idle.
        max_instances: Largest number of nodes of a cluster.
        idle_time: Longest time for which an instance, or a node of a cluster, may be idle.
        ssh_enabled: True if an instance can be reached by SSH.
        ssh_public_key: Key to log in with. That of an instance is not shown (recorded: compute_ci_get_running.json).
        ssh_admin_username: Name to log in with.
        subnet: ARM id of the subnet.
        identity: Managed identity.
        schedules: Times at which an instance starts and stops by itself.
        tags: Its tags.
    """

    name: str
    kind: ComputeKind | None
    size: str | None = None
    state: str | None = None
    provisioning_state: str | None = None
    error_code: str | None = None
    created_on: str | None = None
    location: str | None = None
    tier: str | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    idle_time: timedelta | None = None
    ssh_enabled: bool | None = None
    ssh_public_key: str | None = None
    ssh_admin_username: str | None = None
    subnet: str | None = None
    identity: ComputeIdentity | None = None
    schedules: tuple[ComputeSchedule, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its kind and name for a message: `compute instance `train``."""
        return f"{kind_in_words(self.kind)} `{self.name}`"

    @property
    def condition(self) -> str:
        """Its current state in one word: `Running`, `Creating`."""
        if self.provisioning_state == "Deleting":
            # The state of an instance still is the one before the deletion.
            return self.provisioning_state
        return self.state or self.provisioning_state or "Unknown"

    @property
    def is_being_deleted(self) -> bool:
        """True if it is being deleted."""
        return self.condition == "Deleting"


class Action(Enum):
    """The next action for a compute that a job is to run on."""

    USE = "use"
    WAIT = "wait"
    START = "start"
    FAIL = "fail"


#: Every state of a compute instance. Source: azure-ai-ml, ComputeInstanceState.
_INSTANCE_STATES = {
    "Running": Action.USE,
    # An instance runs more than one job at a time, or queues them.
    "JobRunning": Action.USE,
    "Creating": Action.WAIT,
    "SettingUp": Action.WAIT,
    "UserSettingUp": Action.WAIT,
    "Starting": Action.WAIT,
    "Restarting": Action.WAIT,
    "Resizing": Action.WAIT,
    # Started again once it has stopped.
    "Stopping": Action.WAIT,
    # Created again once it is deleted.
    "Deleting": Action.WAIT,
    # Azure does not know the state, for example while the instance changes hosts. It may know it later.
    "Unknown": Action.WAIT,
    "Stopped": Action.START,
    "CreateFailed": Action.FAIL,
    "SetupFailed": Action.FAIL,
    "UserSetupFailed": Action.FAIL,
    "Unusable": Action.FAIL,
}

#: Every provisioning state of a compute. Source: azure-ai-ml, ProvisioningState.
_PROVISIONING_STATES = {
    "Succeeded": Action.USE,
    "Creating": Action.WAIT,
    "Updating": Action.WAIT,
    "Deleting": Action.WAIT,
    "Unknown": Action.WAIT,
    "Failed": Action.FAIL,
    "Canceled": Action.FAIL,
}


def next_action(found: FoundCompute, *, start_if_stopped: bool = True) -> Action:
    """Return the next action before a job can run on a compute.

    The state of an instance takes precedence over its provisioning state, which is about the last change to it: an
    instance that runs is used although a change to it failed.

    Args:
        found: The compute.
        start_if_stopped: True if an instance may be started.

    Returns:
        The next action. An unknown state is FAIL: a job on such a compute could stay in the queue indefinitely, and so
        could a wait for another state.
    """
    states = _INSTANCE_STATES if found.state and not found.is_being_deleted else _PROVISIONING_STATES
    action = states.get(found.condition, Action.FAIL)
    return Action.FAIL if action is Action.START and not start_if_stopped else action


def is_known(found: FoundCompute) -> bool:
    """Return True if this package knows the compute's state."""
    return found.condition in _INSTANCE_STATES or found.condition in _PROVISIONING_STATES


def kind_in_words(kind: ComputeKind | None) -> str:
    """Return a kind of compute as it stands in a sentence."""
    if kind == "kubernetes":
        return "Kubernetes compute"
    return kind.replace("-", " ") if kind else "compute"
