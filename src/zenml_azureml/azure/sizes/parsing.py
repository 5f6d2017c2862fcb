"""Parses the SDK's VM sizes and usages into plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zenml_azureml.azure.sizes.quota import FamilyQuota
from zenml_azureml.azure.sizes.vm_size import VmSize


def vm_size(item: object) -> VmSize:
    """Parse a VM size of `MLClient.compute.list_sizes`.

    Args:
        item: An `azure.ai.ml.entities.VmSize`.
    """
    fields = _fields(item)
    listed = fields.get("estimatedvmprices", {}).get("values", [])
    prices: dict[str, float] = {}
    for price in listed:
        tier = price["vmtier"].lower()
        if price["ostype"].lower() == "linux":
            # For some sizes Windows' higher price is listed under Linux too (recorded: vmsizes_list_2025.json).
            prices[tier] = min(price["retailprice"], prices.get(tier, price["retailprice"]))
    return VmSize(
        name=fields["name"],
        family=fields["family"],
        vcpus=fields["vcpus"],
        gpus=fields["gpus"],
        memory_gb=fields["memorygb"],
        low_priority_capable=fields.get("lowprioritycapable", False),
        compute_types=tuple(fields.get("supportedcomputetypes", ())),
        price_per_hour=prices.get("standard"),
        low_priority_price_per_hour=prices.get("lowpriority"),
    )


def quota_rows(item: object) -> Iterator[FamilyQuota]:
    """Parse a usage of `MLClient.compute.list_usage`: the row of a VM family or of the region's total, or none.

    Dedicated and low-priority rows of a family have the same name and differ in their type
    (`.../vmFamily/dedicatedCores/usages`, `.../vmFamily/lowPriorityCores/usages`). Rows of one workspace or
    compute repeat a part of these. Source: public scripts and notes of 2024 and later that read the service.

    Args:
        item: An `azure.ai.ml.entities.Usage`.
    """
    fields = _fields(item)
    kind, limit = fields["type"].lower(), fields.get("limit", -1)
    row = FamilyQuota(
        family=fields["name"]["value"],
        low_priority="lowprioritycores" in kind,
        limit=limit if limit >= 0 else None,
        used=fields.get("currentvalue", 0),  # null while a subscription has never used Azure ML's computes
    )
    if row.is_total or "/vmfamily/" in kind:
        yield row


def _fields(item: object) -> dict[str, Any]:
    """Return the fields of a VM size or a usage under one spelling: `currentvalue`, `vcpus`.

    The SDK fills these two classes by `__dict__.update`, with the service's names (1.35: `currentValue`,
    `vCPUs`; the documented attributes stay None) or with Python's (1.23: `current_value`, `v_cp_us`). Prices
    exist, but have no documented attribute at all. So this function reads `vars`; no other code does.
    """
    fields: dict[str, Any] = _folded(vars(item))
    return fields


def _folded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key.replace("_", "").lower(): _folded(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_folded(inner) for inner in value]
    return value
