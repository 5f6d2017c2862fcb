"""The VM sizes that the emulated Azure ML offers, with prices and quota: catalogue.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from zenml_azureml.emulator.types import Json

#: What a low-priority node costs, as a share of the full price (example_vmsizes_list.json).
_LOW_PRIORITY_SHARE = {"Linux": 0.2, "Windows": 0.4}


@dataclass(frozen=True)
class VmFamily:
    """A family of VM sizes: what Azure counts quota by.

    Attributes:
        name: As `vmSizes` spells it, e.g. `standardDSv2Family`.
        usage_name: As `usages` spells it, which for some differs in case.
        title: As refusals spell it, e.g. `Standard DSv2`.
        dedicated_limit: Quota of a subscription in one region, in vCPUs.
        regions: Regions that offer it; None for all.
        retired_on: The day on which Azure retired it, e.g. `2025-09-30`; None if it did not. No region offers it.
    """

    name: str
    usage_name: str
    title: str
    dedicated_limit: int
    regions: frozenset[str] | None
    retired_on: str | None = None

    def offered_in(self, location: str) -> bool:
        """True if a region offers it."""
        return self.retired_on is None and (self.regions is None or location.lower() in self.regions)


@dataclass(frozen=True)
class VmSize:
    """A VM size.

    Attributes:
        name: E.g. `Standard_DS3_v2`.
        family: Family of its quota.
        vcpus: Number of virtual CPUs.
        gpus: Number of GPUs.
        memory_gb: Memory in GB.
        resource_volume_mb: The temporary disk, in MB.
        premium_io: True if it supports premium disks.
        low_priority_capable: True if it is available at low priority.
        compute_types: Kinds of compute that can have it, e.g. `AmlCompute`.
        linux_price: Approximate list price, US dollars an hour.
        windows_price: The same with Windows.
        successor: The size that replaces it, if its family is retired; empty otherwise.
    """

    name: str
    family: VmFamily
    vcpus: int
    gpus: int
    memory_gb: float
    resource_volume_mb: int
    premium_io: bool
    low_priority_capable: bool
    compute_types: tuple[str, ...]
    linux_price: float
    windows_price: float
    successor: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All sizes and families, and what a subscription may have in one region altogether.

    Attributes:
        families: In the order of the file.
        sizes: In the order of the file.
        total_clusters: Number of computes.
        total_dedicated_cores: vCPUs of dedicated nodes.
        total_low_priority_cores: vCPUs of low-priority nodes; families have no limit of their own.
    """

    families: tuple[VmFamily, ...]
    sizes: tuple[VmSize, ...]
    total_clusters: int
    total_dedicated_cores: int
    total_low_priority_cores: int

    def sizes_in(self, location: str) -> list[VmSize]:
        """Return the sizes that a region offers."""
        return [size for size in self.sizes if size.family.offered_in(location)]

    def families_in(self, location: str) -> list[VmFamily]:
        """Return the families that a region offers."""
        return [family for family in self.families if family.offered_in(location)]

    def find(self, name: str) -> VmSize | None:
        """Return the size of that name, in any case and any region."""
        wanted = name.lower()
        return next((size for size in self.sizes if size.name.lower() == wanted), None)


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of this package."""
    raw = json.loads(files(__package__).joinpath("catalogue.json").read_text(encoding="utf-8"))
    families = {name: _family(name, fields) for name, fields in raw["families"].items()}
    return Catalogue(
        families=tuple(families.values()),
        sizes=tuple(_size(fields, families[fields["family"]]) for fields in raw["sizes"]),
        total_clusters=raw["totalClusters"],
        total_dedicated_cores=raw["totalDedicatedCores"],
        total_low_priority_cores=raw["totalLowPriorityCores"],
    )


def size_body(size: VmSize) -> Json:
    """Return a size as `vmSizes` answers it (recorded: vmsizes_list_2025.json).

    The service gives no prices for some sizes, and for some twice as many, Windows' under Linux too.
    """
    return {
        "name": size.name,
        "family": size.family.name,
        "vCPUs": size.vcpus,
        "gpus": size.gpus,
        "osVhdSizeMB": 1047552,
        "maxResourceVolumeMB": size.resource_volume_mb,
        "memoryGB": size.memory_gb,
        "lowPriorityCapable": size.low_priority_capable,
        "premiumIO": size.premium_io,
        "estimatedVMPrices": {
            "billingCurrency": "USD",
            "unitOfMeasure": "OneHour",
            "values": _prices(size),
        },
        "supportedComputeTypes": list(size.compute_types),
        # Guess: both, which differ in the service for few sizes.
        "generation": "gen1",
        "supportsIB": False,
    }


def _prices(size: VmSize) -> list[Json]:
    prices: list[Json] = []
    for system, price in (("Windows", size.windows_price), ("Linux", size.linux_price)):
        prices.append({"retailPrice": round(price, 2), "osType": system, "vmTier": "Standard"})
        if size.low_priority_capable:
            reduced = round(price * _LOW_PRIORITY_SHARE[system], 2)
            prices.append({"retailPrice": reduced, "osType": system, "vmTier": "LowPriority"})
    return prices


def _family(name: str, fields: dict[str, Any]) -> VmFamily:
    regions = fields.get("regions")
    return VmFamily(
        name=name,
        usage_name=fields.get("usageName", name),
        title=fields["title"],
        dedicated_limit=fields["dedicatedLimit"],
        regions=None if regions is None else frozenset(regions),
        retired_on=fields.get("retiredOn"),
    )


def _size(fields: dict[str, Any], family: VmFamily) -> VmSize:
    return VmSize(
        name=fields["name"],
        family=family,
        vcpus=fields["vCPUs"],
        gpus=fields["gpus"],
        memory_gb=fields["memoryGB"],
        resource_volume_mb=fields["maxResourceVolumeMB"],
        premium_io=fields["premiumIO"],
        low_priority_capable=fields["lowPriorityCapable"],
        compute_types=tuple(fields["supportedComputeTypes"]),
        linux_price=fields["linuxPrice"],
        windows_price=fields["windowsPrice"],
        successor=fields.get("successor", ""),
    )
