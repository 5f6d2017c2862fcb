"""Whether a step that ran on one VM size can run on another: architecture, GPU and network. Pure. Imports no `azure.*`.

Sources: Azure's naming conventions of VM sizes (`p` for Arm processors, `r` for RDMA, the families DC and EC for
confidential computing), and the data sheets of the GPUs.
"""

from __future__ import annotations

import re
from typing import Final

from zenml_azureml.azure.sizes.gpu import Gpu
from zenml_azureml.azure.sizes.vm_size import VmSize

_NAME: Final = re.compile(r"standard_([a-z]+)\d+(?:-\d+)?([a-z]*)", re.IGNORECASE)

#: GPUs on boards with Arm processors, which the letters of the size do not show.
_ON_ARM: Final = frozenset({"GB200", "GB300"})

#: TFLOPS of NVIDIA's GPUs at half precision, or at single precision where they have no faster one.
_TFLOPS: Final = {
    **{"K80": 8.7, "M60": 9.6, "P40": 12.0, "P100": 18.7, "T4": 65.0, "V100": 112.0, "A10": 125.0},
    **{"A100": 312.0, "H100": 989.0, "H200": 989.0},
}

#: GPUs that current builds of the frameworks no longer support.
_OLD: Final = frozenset({"K80", "M60", "P40", "P100"})


def is_arm(size: VmSize) -> bool:
    """True if a size has Arm processors, for which images of other sizes are not built."""
    found = _NAME.match(size.name)
    return (size.gpu is not None and size.gpu.chip in _ON_ARM) or bool(found and "p" in found[2].lower())


def is_same_kind(size: VmSize, ran: VmSize, nodes: int) -> bool:
    """True if what ran on one size finds the same kind of machine on another.

    Args:
        size: The other size.
        ran: The size that it ran on.
        nodes: Number of its nodes, which may use the network of the size.
    """
    if is_arm(size) != is_arm(ran) or _is_confidential(size) != _is_confidential(ran):
        return False
    return nodes == 1 or not _has_rdma(ran) or _has_rdma(size)


def is_fast_enough(gpu: Gpu | None, ran: Gpu | None, busy_percent: float | None) -> bool:
    """True if a GPU can do in the same time what another one did.

    Args:
        gpu: The GPU.
        ran: The one that it ran on.
        busy_percent: Share of the time for which that one was busy, in percent; None if unknown.
    """
    if gpu is None or ran is None:
        return False
    if gpu.chip == ran.chip:
        return gpu.share >= ran.share
    if gpu.chip in _OLD and ran.chip not in _OLD:
        return False
    speed, needed = _TFLOPS.get(gpu.chip), _TFLOPS.get(ran.chip)
    if speed is None or needed is None:
        return False
    return (
        speed * float(gpu.share) >= needed * float(ran.share) * (100.0 if busy_percent is None else busy_percent) / 100
    )


def _is_confidential(size: VmSize) -> bool:
    found = _NAME.match(size.name)
    return found is not None and found[1].upper() in ("DC", "EC", "NCC")


def _has_rdma(size: VmSize) -> bool:
    found = _NAME.match(size.name)
    return bool(found and "r" in found[2].lower())
