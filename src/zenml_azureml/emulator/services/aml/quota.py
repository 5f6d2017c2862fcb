"""Quota of a subscription: the use by its computes, and the check for a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from zenml_azureml.emulator.resources import Compute
from zenml_azureml.emulator.services.aml.catalogue import VmSize, catalogue
from zenml_azureml.emulator.state import PROVIDER, Store, Workspace
from zenml_azureml.emulator.types import Json

Priority = Literal["Dedicated", "LowPriority"]

_HOW_TO_GET_MORE = (
    "Talk to your Subscription Admin or refer to https://docs.microsoft.com/azure/machine-learning/"
    "how-to-manage-quotas#request-quota-increases to increase the"
)


@dataclass(frozen=True)
class Use:
    """Current use of quota by one compute."""

    compute: Compute
    size: VmSize
    priority: Priority
    cores: int


@dataclass(frozen=True)
class Refusal:
    """Refusal by the service: code and message of its error."""

    code: str
    message: str


def uses(store: Store, subscription: str, location: str) -> list[Use]:
    """Return the use of quota by each compute of a subscription in a region."""
    return [
        use
        for workspace in store.workspaces
        if workspace.subscription_id.lower() == subscription.lower()
        for use in _uses_of(workspace, location)
    ]


def node_count(compute: Compute) -> int:
    """Return the number of nodes that a compute has now.

    An instance keeps its node, and so its quota, while it is stopped, according to Azure's
    documentation of quotas. A cluster has those that run jobs, and at least its minimum; nodes that would stay
    idle for a while after a job are not emulated.
    """
    if compute.provisioning_state == "Failed" or compute.kind == "Kubernetes":  # no quota of Azure ML
        return 0
    if compute.kind == "ComputeInstance":
        return 1
    minimum: int = compute.inner["scaleSettings"]["minNodeCount"]
    return max(minimum, sum(compute.busy_nodes.values()))


def priority_of(inner: Json) -> Priority:
    """Return the kind of a compute's nodes; those of instances are dedicated."""
    return "LowPriority" if inner.get("vmPriority") == "LowPriority" else "Dedicated"


def refuse_nodes(size: VmSize, priority: Priority, minimum: int, others: Sequence[Use]) -> Refusal | None:
    """Return the reason why there is not enough quota for a compute; None if there is.

    Users have quoted the message, and that a cluster of 0 to 4 nodes needs quota for one
    (quoted_quota_error.json: of Standard_DS4_v2, which has 8 vCPUs).

    Args:
        size: VM size of each node.
        priority: Dedicated nodes need quota of their family and altogether, others altogether.
        minimum: Number of nodes from the start.
        others: Use of quota by the subscription's other computes in the region.
    """
    known = catalogue()
    nodes = max(minimum, 1)
    cores = nodes * size.vcpus
    # Guess: nodes that start at once need what is left of the quota; a cluster that starts with
    # none is only refused where the quota could never hold one.
    held = [use for use in others if use.priority == priority] if minimum else []
    if priority == "Dedicated":
        family = size.family
        used = sum(use.cores for use in held if use.size.family == family)
        if used + cores > family.dedicated_limit:
            return Refusal(
                "ClusterMinNodesExceedCoreQuota",
                f"The specified subscription has a {family.title} family vCPU quota of "
                f"{family.dedicated_limit} and cannot accomodate for at least {nodes} requested "
                f"managed compute nodes which maps to {cores} vCPUs. "
                f"{_HOW_TO_GET_MORE} family quota",
            )
    total = known.total_dedicated_cores if priority == "Dedicated" else known.total_low_priority_cores
    if sum(use.cores for use in held) + cores > total:
        return Refusal(
            "ClusterMinNodesExceedCoreQuota",
            f"The specified subscription has a total vCPU quota of {total} and cannot accomodate "
            f"for at least {nodes} requested managed compute node which maps to {cores} vCPUs. "
            f"{_HOW_TO_GET_MORE} total quota",
        )
    return None


def usage_rows(store: Store, subscription: str, location: str) -> list[Json]:
    """Return all rows of `usages` for a subscription in a region.

    Recorded: usages_list_2025.json, which has none of the rows by workspace and compute that the official
    example (example_usages_list.json) shows.
    """
    held = uses(store, subscription, location)
    root = f"/subscriptions/{subscription}"
    clusters = _total(
        root,
        name="TotalClusters",
        title="Total Clusters",
        used=len(held),
        limit=catalogue().total_clusters,
    )
    dedicated = [use for use in held if use.priority == "Dedicated"]
    low_priority = [use for use in held if use.priority == "LowPriority"]
    return [
        clusters,
        _total(
            root,
            name="TotalDedicatedCores",
            title="Total Cluster Dedicated Regional vCPUs",
            used=sum(use.cores for use in dedicated),
            limit=catalogue().total_dedicated_cores,
        ),
        *_family_rows(subscription, location, "Dedicated", dedicated),
        _total(
            root,
            name="TotalLowPriorityCores",
            title="Total Cluster Low Priority Regional vCPUs",
            used=sum(use.cores for use in low_priority),
            limit=catalogue().total_low_priority_cores,
        ),
        *_family_rows(subscription, location, "LowPriority", low_priority),
    ]


def _uses_of(workspace: Workspace, location: str) -> Iterator[Use]:
    for compute in workspace.computes.values():
        size = catalogue().find(compute.inner.get("vmSize") or "")
        if size is None or compute.body["location"].lower() != location.lower():
            continue
        yield Use(
            compute=compute,
            size=size,
            priority=priority_of(compute.inner),
            cores=node_count(compute) * size.vcpus,
        )


def _family_rows(subscription: str, location: str, priority: Priority, held: Sequence[Use]) -> Iterator[Json]:
    kind = "dedicatedCores" if priority == "Dedicated" else "lowPriorityCores"
    for family in catalogue().families_in(location):
        name = family.usage_name
        # With the spaces that the name has around it: `Standard  NCASv3_T4  Family`.
        short = name.removesuffix("Family").removeprefix("standard").removeprefix("Standard")
        yield _row(
            f"/subscriptions/{subscription}/usages/{name.replace(' ', '_')}",
            f"vmFamily/{kind}",
            name=name,
            title=f"Standard {short} Family Cluster {priority} vCPUs",
            used=sum(use.cores for use in held if use.size.family == family),
            # -1: no limit of its own, only the one on all low-priority nodes.
            limit=family.dedicated_limit if priority == "Dedicated" else -1,
        )


def _total(path: str, *, name: str, title: str, used: int, limit: int) -> Json:
    return _row(path, f"{name[0].lower()}{name[1:]}", name=name, title=title, used=used, limit=limit)


def _row(path: str, kind: str, *, name: str, title: str, used: int, limit: int) -> Json:
    return {
        "unit": "Count",
        "currentValue": used,
        "limit": limit,
        "name": {"value": name, "localizedValue": title},
        "type": f"{PROVIDER}/{kind}/usages",
        "id": path,
    }
