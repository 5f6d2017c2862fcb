"""Check of a subscription's quota: pure. Imports no `azure.*`.

Quota counts vCPUs. Dedicated nodes need it of their VM family and of the region altogether. Low-priority
nodes need it of one pool of the region; families have no limit of their own there.
"""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.exceptions import NoCapacityError

#: Instructions to request more quota, in every cloud. Source: an error message of Azure ML (quoted_quota_error.json).
HOW_TO_GET_MORE = "https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#request-quota-increases"

#: Names of the rows of a whole region. Source: `usages` as public scripts read them from the service.
_TOTALS = frozenset({"totaldedicatedcores", "totallowprioritycores"})


@dataclass(frozen=True)
class FamilyQuota:
    """One row of `usages`: the quota of a VM family, or of a region altogether, in vCPUs.

    Attributes:
        family: The family's name as VM sizes have it, or `TotalDedicatedCores`, `TotalLowPriorityCores`.
        low_priority: True for the quota of low-priority nodes.
        limit: The limit; None if there is none, which Azure reports as -1.
        used: The part that all computes of the subscription hold now, in all workspaces.
    """

    family: str
    low_priority: bool
    limit: int | None
    used: int

    @property
    def is_total(self) -> bool:
        """True if it is a region's, not a family's."""
        return self.family.lower() in _TOTALS


@dataclass(frozen=True)
class Quota:
    """The quota of one subscription in one region.

    Attributes:
        region: E.g. `westeurope`.
        rows: The known rows. A missing row counts as no limit: Azure decides.
        page: The page of Azure ML Studio to request more quota.
    """

    region: str
    rows: tuple[FamilyQuota, ...]
    page: str = "https://ml.azure.com/quota"

    def of(self, size: VmSize, *, low_priority: bool) -> tuple[FamilyQuota, ...]:
        """Return the rows that a node of this size counts against: its family's, then the region's."""
        family = size.family.lower()
        rows = [row for row in self.rows if row.low_priority == low_priority]
        own = [row for row in rows if row.family.lower() == family]
        return (*own, *(row for row in rows if row.is_total))


@dataclass(frozen=True)
class QuotaShortage:
    """Quota that cannot hold some nodes.

    Attributes:
        quota: The quota that is too small.
        limit: Its limit in vCPUs.
        used: vCPUs of it that others hold.
        needed: vCPUs that the nodes need.
        size: Their VM size.
        nodes: Their number.
        region: E.g. `westeurope`.
        page: The page to request more quota.
    """

    quota: FamilyQuota
    limit: int
    used: int
    needed: int
    size: VmSize
    nodes: int
    region: str
    page: str

    def describe(self) -> str:
        """Describe it: `limit 24, used 20, needed 12 vCPU of standardDSv2Family`."""
        tier = " at low priority" if self.quota.low_priority and not self.quota.is_total else ""
        return f"limit {self.limit}, used {self.used}, needed {self.needed} vCPU of {self.quota.family}{tier}"

    def explain(self) -> str:
        """Describe it as a sentence, with the nodes that are too many."""
        count = f"{self.nodes} {'node' if self.nodes == 1 else 'nodes'}"
        return (
            f"The quota in `{self.region}` is too small for {count} of {self.size.name} "
            f"({self.size.vcpus} vCPU each): {self.describe()}."
        )

    def error(self) -> NoCapacityError:
        """Return the error for a step that needs these nodes."""
        return NoCapacityError(
            self.explain(),
            hint=f"{how_to_get_more(self.page)}, or choose another size. Or set `quota_check='warn'` to submit the "
            "job anyway and let it wait in Azure's queue. Quota is read once per process.",
        )


def check_quota(
    size: VmSize, quota: Quota, nodes: int, low_priority: bool, *, held_nodes: int = 0
) -> QuotaShortage | None:
    """Check if the quota has room for some nodes.

    `usages` reports how many vCPUs of a family are held, but not reliably by which compute. Nodes that the target
    itself holds would count twice, once as used and once as needed, and a warm cluster would look too big for its own
    quota. So for a cluster that exists, pass its `max_instances` as `held_nodes`: all of the use that may be its own
    counts as its own, and only the rest counts against the job. A compute instance that exists keeps its node, even
    while it is stopped: there is nothing to check. For a cluster that is to be created, `nodes` is the larger of the
    job's nodes and its `min_instances`.

    Args:
        size: VM size of each node.
        quota: The quota.
        nodes: Number of nodes that are needed at a time.
        low_priority: True for low-priority nodes.
        held_nodes: Number of nodes that the target may hold already.

    Returns:
        The first quota that is too small, the family's before the region's; None if there is room.
    """
    needed = nodes * size.vcpus
    for row in quota.of(size, low_priority=low_priority):
        used = max(0, row.used - held_nodes * size.vcpus)
        if row.limit is not None and used + needed > row.limit:
            return QuotaShortage(row, row.limit, used, needed, size, nodes, quota.region, quota.page)
    return None


def how_to_get_more(page: str) -> str:
    """Return how to request more quota, as a phrase.

    Args:
        page: The quota page of Azure ML Studio.
    """
    return f"Ask for more quota at {page} (how: {HOW_TO_GET_MORE})"
