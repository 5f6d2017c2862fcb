"""Search for VM sizes, with the room that quota leaves for them: pure. Imports no `azure.*`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zenml_azureml.azure.sizes.quota import FamilyQuota, Quota
from zenml_azureml.azure.sizes.selection import too_small
from zenml_azureml.azure.sizes.vm_size import ComputeKind, ResourceRequest, VmSize


@dataclass(frozen=True)
class Search:
    """The filters of a search.

    Attributes:
        resources: Minimum resources of a node. If it has 0 GPUs, only sizes without GPUs match.
        max_price: Highest price in US dollars per hour and node; None for any price.
        low_priority: True for low-priority nodes, with another price and another quota.
        kind: The kind of compute; None for any.
        name: A part of the size's name, in any case; empty for any.
        with_room: True if quota must have room for a node.
    """

    resources: ResourceRequest = field(default_factory=ResourceRequest)
    max_price: float | None = None
    low_priority: bool = False
    kind: ComputeKind | None = None
    name: str = ""
    with_room: bool = False


@dataclass(frozen=True)
class FoundSize:
    """A VM size with the quota that its nodes count against.

    Attributes:
        size: The size.
        price: US dollars per hour and node; None if Azure gives no estimate.
        quota: The quota of its family, or else of the region; None if none is listed.
        nodes_left: Number of further nodes that all quotas have room for; None if no quota limits them.
    """

    size: VmSize
    price: float | None
    quota: FamilyQuota | None
    nodes_left: int | None


def search_sizes(sizes: Sequence[VmSize], quota: Quota, search: Search) -> list[FoundSize]:
    """Return the sizes that match, cheapest first; those without a price come last.

    Args:
        sizes: The sizes that a region offers.
        quota: The subscription's quota there.
        search: The filters.
    """
    found = [_found(size, quota, search.low_priority) for size in sizes if _serves(size, search)]
    if search.max_price is not None:
        found = [one for one in found if one.price is not None and one.price <= search.max_price]
    if search.with_room:
        found = [one for one in found if one.nodes_left is None or one.nodes_left > 0]
    return sorted(found, key=lambda one: (one.price is None, one.price or 0.0, one.size.vcpus, one.size.name))


def _serves(size: VmSize, search: Search) -> bool:
    return (
        not too_small(size, search.resources)
        and (search.resources.gpus != 0 or size.gpus == 0)
        and (search.kind is None or size.supports(search.kind))
        and (not search.low_priority or size.low_priority_capable)
        and search.name.lower() in size.name.lower()
    )


def _found(size: VmSize, quota: Quota, low_priority: bool) -> FoundSize:
    rows = quota.of(size, low_priority=low_priority)
    limits = [(row.limit, row.used) for row in rows if row.limit is not None]
    left = min((max(0, limit - used) // size.vcpus for limit, used in limits), default=None)
    own = next((row for row in rows if row.limit is not None), None)
    return FoundSize(size, size.price(low_priority=low_priority), own, left)
