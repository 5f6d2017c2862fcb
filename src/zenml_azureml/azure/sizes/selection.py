"""Selection of a VM size for a request: pure. Imports no `azure.*`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zenml_azureml.azure.cli_hints import Address, az_ml
from zenml_azureml.azure.sizes.gpu import chip_named
from zenml_azureml.azure.sizes.quota import Quota, check_quota, how_to_get_more
from zenml_azureml.azure.sizes.retired import retirement_of
from zenml_azureml.azure.sizes.vm_size import ComputeKind, ResourceRequest, VmSize
from zenml_azureml.exceptions import AzureMLError, NoCapacityError

#: Number of sizes that an error names.
_NEAREST = 3


@dataclass(frozen=True)
class SizeChoice:
    """The VM size of a step's nodes.

    Attributes:
        size: The size.
        low_priority: True for low-priority nodes.
    """

    size: VmSize
    low_priority: bool = False

    @property
    def price_per_hour(self) -> float | None:
        """US dollars per hour and node, by Azure's estimate; None if it gives none."""
        return self.size.price(low_priority=self.low_priority)

    def describe(self) -> str:
        """Describe it for a log: `Standard_DS3_v2 (4 vCPU, 14 GB), about 0.29 USD per hour and node`."""
        price = self.price_per_hour
        cost = "price unknown" if price is None else f"about {price:.2f} USD per hour and node"
        return f"{self.size.describe()}, {cost}{' at low priority' if self.low_priority else ''}"


@dataclass(frozen=True)
class Shortfall:
    """One requirement that a size does not meet.

    Attributes:
        why: The reason, as a phrase.
        share: Missing share of the requirement, from 0 to 1; 1 if it cannot be met in part.
    """

    why: str
    share: float = 1.0


def choose_size(
    request: ResourceRequest,
    sizes: Sequence[VmSize],
    quota: Quota,
    *,
    kind: ComputeKind,
    nodes: int = 1,
    low_priority: bool = False,
) -> SizeChoice:
    """Choose the cheapest size of a region that meets the request and for which there is quota left.

    A size with GPUs only meets a request for GPUs, and one with a part of a GPU only a request for an amount of its
    memory. Retired sizes are never chosen. Sizes whose family is not listed in the quota come after all
    others, because Azure has been seen to refuse those. Sizes without a price come after those that have one. For
    equal prices, the order is fewer vCPUs, less memory, name.

    Args:
        request: The requirements on each node.
        sizes: The sizes that the region offers.
        quota: The subscription's quota there.
        kind: The kind of compute.
        nodes: Number of nodes that are needed at a time.
        low_priority: True for low-priority nodes, which have another price and another quota.

    Raises:
        AzureMLError: If no size meets the request. The message names the nearest sizes and their shortfalls.
    """
    lacking = {
        size: _shortfalls(size, request, quota, kind=kind, nodes=nodes, low_priority=low_priority) for size in sizes
    }
    serving = [size for size, shortfalls in lacking.items() if not shortfalls]
    if not serving:
        raise _nothing_serves(request, lacking, quota, kind=kind, nodes=nodes, low_priority=low_priority)
    best = min(serving, key=lambda size: _preference(size, quota, low_priority))
    return SizeChoice(best, low_priority)


def find_size(name: str, sizes: Sequence[VmSize], region: str, address: Address) -> VmSize:
    """Return the size of that name, in any case.

    Args:
        name: Name of a VM size.
        sizes: The sizes that the region offers.
        region: The region's name, for the message.
        address: The workspace, for the message.

    Raises:
        AzureMLError: If the region does not offer it. The message names the nearest names.
    """
    by_name = {size.name.lower(): size for size in sizes}
    if name.lower() in by_name:
        return by_name[name.lower()]
    retirement = retirement_of(name)
    if retirement is not None:
        raise AzureMLError(
            retirement.describe(name),
            hint=f"Set another size. To list the sizes:\n{az_ml(address, 'ml compute list-sizes', location=region)}",
        )
    close = difflib.get_close_matches(name.lower(), by_name, n=_NEAREST)
    nearest = ", ".join(f"`{by_name[match].name}`" for match in close)
    raise AzureMLError(
        f"Azure ML offers no VM size `{name}` in `{region}`." + (f" Did you mean {nearest}?" if nearest else ""),
        hint=f"Correct the size. To list the sizes:\n{az_ml(address, 'ml compute list-sizes', location=region)}",
    )


def check_explicit_size(size: VmSize, request: ResourceRequest) -> list[str]:
    """Compare a size that the settings name with the step's resources.

    Args:
        size: The size that the settings name, which takes precedence.
        request: The step's resources.

    Returns:
        Warnings, one per resource; empty if it is big enough.
    """
    return [
        f"The step's resources ask for {request.describe()}, but the size in its settings takes precedence: "
        f"{size.describe()} has {shortfall.why}."
        for shortfall in too_small(size, request)
    ]


def _shortfalls(
    size: VmSize, request: ResourceRequest, quota: Quota, *, kind: ComputeKind, nodes: int, low_priority: bool
) -> list[Shortfall]:
    found = too_small(size, request)
    if size.gpus and not request.gpus_wanted:
        found.append(Shortfall("GPUs, which were not requested"))
    retirement = retirement_of(size.name)
    if retirement is not None:
        found.append(Shortfall(f"been retired on {retirement.on:%Y-%m-%d}"))
    if not size.supports(kind):
        found.append(Shortfall(f"no support for {kind}"))
    if low_priority and not size.low_priority_capable:
        found.append(Shortfall("no low priority"))
    shortage = check_quota(size, quota, nodes, low_priority)
    if shortage is not None:
        free = max(0, shortage.limit - shortage.used)
        found.append(Shortfall(f"no quota left ({shortage.describe()})", 1 - free / shortage.needed))
    return found


def too_small(size: VmSize, request: ResourceRequest) -> list[Shortfall]:
    """Return the requirements that a size does not meet.

    Args:
        size: The size.
        request: The requirements on each node.
    """
    wanted_and_has = (
        ("vCPU", request.cpus or 0, size.vcpus),
        ("GPU", request.gpus_wanted, size.gpus),
        ("GB", request.memory_gb or 0, size.memory_gb),
    )
    found = [
        Shortfall(f"{has:g} of {wanted:g} {unit}", 1 - has / wanted)
        for unit, wanted, has in wanted_and_has
        if has < wanted
    ]
    return [*found, *_unfit_gpus(size, request)] if size.gpus and request.gpus_wanted else found


def _unfit_gpus(size: VmSize, request: ResourceRequest) -> Iterator[Shortfall]:
    gpu = size.gpu
    has_chip = gpu.chip if gpu else "unknown"
    if request.gpu_class and (chip_named(request.gpu_class) or request.gpu_class.upper()) != has_chip:
        yield Shortfall(f"GPUs of class {has_chip}, not {request.gpu_class}")
    wanted, has = request.gpu_memory_gb, gpu.memory_gb if gpu else None
    if wanted is not None and has is None:
        yield Shortfall("GPUs with an unknown amount of memory")
    elif wanted is not None and has is not None and has < wanted:
        yield Shortfall(f"{has:g} of {wanted:g} GB of GPU memory", 1 - has / wanted)
    if gpu is not None and gpu.is_part and (wanted is None or request.gpus_wanted > 1):
        yield Shortfall(f"{gpu.share} of a GPU", float(1 - gpu.share))


def _preference(size: VmSize, quota: Quota, low_priority: bool) -> tuple[bool, bool, float, int, float, str]:
    listed = any(not row.is_total for row in quota.of(size, low_priority=low_priority))
    price = size.price(low_priority=low_priority)
    return not listed, price is None, price or 0.0, size.vcpus, size.memory_gb, size.name


def _nothing_serves(
    request: ResourceRequest,
    lacking: dict[VmSize, list[Shortfall]],
    quota: Quota,
    *,
    kind: ComputeKind,
    nodes: int,
    low_priority: bool,
) -> AzureMLError:
    """Return the error with the nearest sizes: those with the fewest, then the smallest shortfalls."""
    in_order = sorted(
        lacking,
        key=lambda size: (
            len(lacking[size]),
            sum(shortfall.share for shortfall in lacking[size]),
            _preference(size, quota, low_priority),
        ),
    )
    nearest = in_order[:_NEAREST]
    lines = [f"  {size.describe()} has {'; '.join(found.why for found in lacking[size])}" for size in nearest]
    where = f"{nodes} {'node' if nodes == 1 else 'nodes'} of {kind}{' at low priority' if low_priority else ''}"
    classes = sorted({size.gpu.chip for size in lacking if size.gpu})
    if request.gpu_class and chip_named(request.gpu_class) not in classes:
        lines.append(f"  GPUs that `{quota.region}` has: {', '.join(classes) or 'none'}")
    hint = "Lower the step's resources, or set a size."
    kind_of_error = AzureMLError
    if any(check_quota(size, quota, nodes, low_priority) for size in nearest):
        hint += f" {how_to_get_more(quota.page)}."
        kind_of_error = NoCapacityError
    return kind_of_error(
        "\n".join(
            [
                f"No VM size in `{quota.region}` that there is quota for offers {request.describe()} ({where})."
                + (" The nearest:" if lines else ""),
                *lines,
            ]
        ),
        hint=hint,
    )
