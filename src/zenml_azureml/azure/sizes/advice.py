"""Advice on the VM size of a step from what it has used: pure. Imports no `azure.*`.

A size is recommended only if the step would do as well on it: it has room for each peak with a margin, machines of the
same kind, a GPU that is fast enough for what the old one did, and quota. The running time then stays about the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from zenml_azureml.azure.sizes.kinship import is_fast_enough, is_same_kind
from zenml_azureml.azure.sizes.quota import Quota, check_quota
from zenml_azureml.azure.sizes.retired import retirement_of
from zenml_azureml.azure.sizes.vm_size import ComputeKind, VmSize
from zenml_azureml.contract.usage import CPU, GPU, GPU_MEMORY, MEMORY, Metric, Usage

#: Room above a peak: the next run may need more, and the samples may have missed the highest moment.
MARGIN: Final = 1.2

#: Smallest saving, as a share of the price, that is worth a recommendation.
_SAVING: Final = 0.05

#: Memory of a GPU that its driver uses without a program, in GB.
_IDLE_GPU_GB: Final = 0.6

_MINUTE: Final = 60.0


@dataclass(frozen=True)
class Ran:
    """What a step ran on.

    Attributes:
        size: VM size of its nodes.
        kind: Kind of compute.
        nodes: Number of nodes.
        low_priority: True for low-priority or spot nodes.
    """

    size: VmSize
    kind: ComputeKind
    nodes: int = 1
    low_priority: bool = False


@dataclass(frozen=True)
class Advice:
    """A cheaper size that would do.

    Attributes:
        size: The size.
        saves_per_hour: US dollars per hour and node that it costs less.
        without_gpu: True if it has no GPU, because none was used.
    """

    size: VmSize
    saves_per_hour: float
    without_gpu: bool = False


def gpu_was_used(usage: Usage) -> bool:
    """True unless samples show that no GPU of the node was used."""
    busy, memory = usage.peak(GPU), usage.peak(GPU_MEMORY)
    return busy is None or memory is None or busy > 0 or memory > _IDLE_GPU_GB


def cheaper_size(usage: Usage, ran: Ran, sizes: Sequence[VmSize], quota: Quota) -> Advice | None:
    """Return the cheapest size on which the step would do as well, and for less; None if there is none.

    Args:
        usage: What each node has used.
        ran: What it ran on.
        sizes: The sizes that the region offers.
        quota: The subscription's quota there.
    """
    price = ran.size.price(low_priority=ran.low_priority)
    if price is None or MEMORY not in usage.metrics:
        return None
    usable = [
        (its_price, size)
        for its_price, size in _priced(sizes, ran)
        if its_price <= price * (1 - _SAVING) and _has_room(size, usage, ran) and _is_to_be_had(size, ran, quota)
    ]
    if not usable:
        return None
    its_price, size = min(usable, key=lambda one: (one[0], one[1].vcpus, one[1].memory_gb, one[1].name))
    return Advice(size, price - its_price, without_gpu=bool(ran.size.gpus and not size.gpus))


def larger_size(
    ran: Ran, sizes: Sequence[VmSize], quota: Quota, *, usage: Usage | None = None, of_gpu: bool = False
) -> VmSize | None:
    """Return the cheapest size with more memory of the kind that was used up; None if there is none with quota.

    Args:
        ran: What the step ran on.
        sizes: The sizes that the region offers.
        quota: The subscription's quota there.
        usage: What each node has used; None if unknown.
        of_gpu: True if the memory of a GPU was used up.
    """
    larger = [
        (price, size)
        for price, size in _priced(sizes, ran)
        if _has_more(size, ran.size, usage, of_gpu=of_gpu) and _is_to_be_had(size, ran, quota)
    ]
    return min(larger, key=lambda one: (one[0], one[1].memory_gb, one[1].name), default=(0.0, None))[1]


def in_words(usage: Usage) -> str:
    """Describe a use: `peak 11 of 16 GB, CPU 40 % busy, GPU 23 % busy, 5 of 16 GB of its memory`."""
    parts = []
    memory, cpu = usage.metrics.get(MEMORY), usage.metrics.get(CPU)
    gpu, gpu_memory = usage.metrics.get(GPU), usage.metrics.get(GPU_MEMORY)
    if memory is not None:
        parts.append(f"peak {_of(memory)} GB{_at_limit(memory)}")
    if cpu is not None and cpu.limit:
        parts.append(f"CPU {_percent(cpu)} % busy{_at_limit(cpu)}")
    several = f"{usage.gpus} GPUs" if usage.gpus > 1 else "GPU"
    if gpu is not None:
        parts.append(f"{several} {gpu.mean:.0f} % busy{_at_limit(gpu)}")
    if gpu_memory is not None:
        whose = "its memory" if gpu is not None and usage.gpus <= 1 else "the memory of a GPU"
        parts.append(f"{_of(gpu_memory)} GB of {whose}{_at_limit(gpu_memory)}")
    on_nodes = f" on {usage.nodes} nodes" if usage.nodes > 1 else ""
    return ", ".join(parts) + on_nodes


def amount(value: float) -> str:
    """Return an amount in GB with as many digits as matter: `11`, `3.4`, `0.19`."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _priced(sizes: Sequence[VmSize], ran: Ran) -> Iterator[tuple[float, VmSize]]:
    for size in sizes:
        price = size.price(low_priority=ran.low_priority)
        if price is not None and size.name.lower() != ran.size.name.lower() and is_same_kind(size, ran.size, ran.nodes):
            yield price, size


def _has_room(size: VmSize, usage: Usage, ran: Ran) -> bool:
    # A step that used all cores may have wanted more, but then no smaller size has as many.
    used = usage.peak(CPU)
    cores = ran.size.vcpus if used is None else min(used * MARGIN, ran.size.vcpus)
    if size.memory_gb < (usage.peak(MEMORY) or 0.0) * MARGIN or size.vcpus < cores:
        return False
    if not ran.size.gpus or not gpu_was_used(usage):
        return not size.gpus
    needed, gpu = usage.peak(GPU_MEMORY), size.gpu
    if size.gpus < ran.size.gpus or gpu is None or gpu.memory_gb is None:
        return False
    if needed is None and (ran.size.gpu is None or gpu.memory_gb < (ran.size.gpu.memory_gb or float("inf"))):
        return False
    busy = usage.metrics.get(GPU)
    percent = None if busy is None else min(100.0, busy.mean * MARGIN)
    return gpu.memory_gb >= (needed or 0.0) * MARGIN and is_fast_enough(gpu, ran.size.gpu, percent)


def _has_more(size: VmSize, ran: VmSize, usage: Usage | None, *, of_gpu: bool) -> bool:
    if size.vcpus < ran.vcpus or size.gpus < ran.gpus or bool(size.gpus) != bool(ran.gpus):
        return False
    if ran.gpus and not is_fast_enough(size.gpu, ran.gpu, None):
        return False
    if of_gpu:
        has, had = (size.gpu and size.gpu.memory_gb) or 0.0, (ran.gpu and ran.gpu.memory_gb) or 0.0
        peak = usage.peak(GPU_MEMORY) if usage else None
        return has > max(had, (peak or 0.0)) and size.memory_gb >= ran.memory_gb
    peak = usage.peak(MEMORY) if usage else None
    return size.memory_gb > max(ran.memory_gb, (peak or 0.0) * MARGIN)


def _is_to_be_had(size: VmSize, ran: Ran, quota: Quota) -> bool:
    return (
        size.supports(ran.kind)
        and (not ran.low_priority or size.low_priority_capable)
        and retirement_of(size.name) is None
        and check_quota(size, quota, ran.nodes, ran.low_priority) is None
    )


def _of(metric: Metric) -> str:
    return amount(metric.peak) if metric.limit is None else f"{amount(metric.peak)} of {amount(metric.limit)}"


def _percent(metric: Metric) -> str:
    return f"{100 * metric.mean / (metric.limit or 1):.0f}"


def _at_limit(metric: Metric) -> str:
    if metric.seconds_at_limit < _MINUTE:
        return ""
    return f" (at the limit for {metric.seconds_at_limit / _MINUTE:.0f} min)"
