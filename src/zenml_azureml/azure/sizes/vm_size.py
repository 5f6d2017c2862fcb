"""VM sizes and the resources of a step: plain data. Imports no `azure.*`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zenml_azureml.azure.sizes.gpu import Gpu, gpu_of
from zenml_azureml.exceptions import AzureMLError

#: The kinds of compute that a size is chosen for.
ComputeKind = Literal["compute-instance", "compute-cluster", "serverless"]

#: Azure's names for them in a size's `supportedComputeTypes`.
#: Source: official example (example_vmsizes_list.json).
# Guess: the list has no name for serverless compute; its quota is that of clusters, so its sizes are too.
_COMPUTE_TYPES: dict[ComputeKind, str] = {
    "compute-instance": "ComputeInstance",
    "compute-cluster": "AmlCompute",
    "serverless": "AmlCompute",
}


@dataclass(frozen=True)
class VmSize:
    """A VM size as Azure ML offers it in one region.

    Attributes:
        name: E.g. `Standard_NC4as_T4_v3`.
        family: The VM family that its quota belongs to, e.g. `Standard NCASv3_T4 Family`.
        vcpus: Number of virtual CPUs.
        gpus: Number of GPUs; 1 if it has a part of one.
        memory_gb: Memory in Azure's GB, which are 2**30 bytes.
        low_priority_capable: True if it is available at low priority.
        compute_types: Azure's names of the kinds of compute that can have it, e.g. `AmlCompute`.
        price_per_hour: Azure's estimate for a dedicated Linux node, in US dollars; None if it gives none.
        low_priority_price_per_hour: The same at low priority.
    """

    name: str
    family: str
    vcpus: int
    gpus: int
    memory_gb: float
    low_priority_capable: bool
    compute_types: tuple[str, ...]
    price_per_hour: float | None
    low_priority_price_per_hour: float | None

    @property
    def gpu(self) -> Gpu | None:
        """Each of its GPUs, or the part that it has of one; None if it has none, or if its name does not show it."""
        return gpu_of(self.name) if self.gpus else None

    def supports(self, kind: ComputeKind) -> bool:
        """Return True if a kind of compute can have it."""
        return _COMPUTE_TYPES[kind].lower() in {name.lower() for name in self.compute_types}

    def price(self, *, low_priority: bool) -> float | None:
        """Return US dollars per hour and node; None if Azure gives no estimate."""
        return self.low_priority_price_per_hour if low_priority else self.price_per_hour

    def describe(self) -> str:
        """Describe it: `Standard_NC4as_T4_v3 (4 vCPU, 1 GPU with 16 GB, 28 GB)`."""
        gpus = f"{self.gpus_in_words()}, " if self.gpus else ""
        return f"{self.name} ({self.vcpus} vCPU, {gpus}{self.memory_gb:g} GB)"

    def gpus_in_words(self) -> str:
        """Describe its GPUs: `1 GPU with 16 GB`, `4 GPU with 16 GB each`, `1/6 GPU with 4 GB`."""
        gpu = self.gpu
        number = f"{gpu.share if gpu and gpu.is_part else self.gpus} GPU"
        if gpu is None or gpu.memory_gb is None:
            return number
        return f"{number} with {gpu.memory_gb:g} GB{' each' if self.gpus > 1 else ''}"


@dataclass(frozen=True)
class ResourceRequest:
    """The resources that a step requests for one node: ZenML's `ResourceSettings` without ZenML.

    Attributes:
        cpus: Minimum number of vCPUs; None for any number.
        gpus: Minimum number of GPUs; None for none, or for one if there is a `gpu_class`.
        gpu_class: The GPU class, e.g. `A100`, in any case; None for any.
        memory_gb: Minimum memory, in Azure's GB, which are 2**30 bytes (ZenML: `get_memory("GiB")`).
        gpu_memory_gb: Minimum memory of each GPU in GB; None for whole GPUs of any memory. With it, a part of a GPU
            that has so much memory counts as one.

    Raises:
        AzureMLError: If it has a GPU class and no GPU.
    """

    cpus: float | None = None
    gpus: int | None = None
    gpu_class: str | None = None
    memory_gb: float | None = None
    gpu_memory_gb: float | None = None

    def __post_init__(self) -> None:
        if self.gpu_class and self.gpus == 0:
            raise AzureMLError(
                f"The step's resources ask for `gpu_class={self.gpu_class!r}`, but also for `gpu_count=0`.",
                hint="Remove one of them.",
            )

    @property
    def is_empty(self) -> bool:
        """True if it has no requirements, so that no size has to be chosen."""
        return self.cpus is None and not self.gpus_wanted and self.memory_gb is None

    @property
    def gpus_wanted(self) -> int:
        """Minimum number of GPUs."""
        if self.gpus is None:
            return 1 if self.gpu_class or self.gpu_memory_gb else 0
        return self.gpus

    def describe(self) -> str:
        """Describe it: `at least 8 vCPU, 1 A100 GPU, 64 GB`."""
        parts = []
        if self.cpus is not None:
            parts.append(f"{self.cpus:g} vCPU")
        if self.gpus_wanted:
            memory = f" with {self.gpu_memory_gb:g} GB" if self.gpu_memory_gb else ""
            parts.append(f"{self.gpus_wanted} {self.gpu_class + ' ' if self.gpu_class else ''}GPU{memory}")
        if self.memory_gb is not None:
            parts.append(f"{self.memory_gb:g} GB")
        return f"at least {', '.join(parts)}" if parts else "any size"
