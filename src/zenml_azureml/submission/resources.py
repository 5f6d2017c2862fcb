"""The machines that a step needs, from ZenML's resource settings and those of the step operator."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from zenml.logger import get_logger

from zenml_azureml.azure.sizes.gpu import chip_named
from zenml_azureml.azure.sizes.vm_size import ResourceRequest

if TYPE_CHECKING:
    from zenml.config import ResourceSettings

    from zenml_azureml.azure.compute.placement import Demands
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

logger = get_logger(__name__)


def demands_of(resources: ResourceSettings, settings: AzureMLStepOperatorSettings) -> Demands:
    """Return the requirements of a step on its machines.

    ZenML's `gpu_class` names a capacity class of a resource pool. If the settings map it to a size, that is used; if it
    is the name of a chip, it selects sizes with that chip; otherwise it selects nothing, and a log line reports that
    once.

    Args:
        resources: ZenML's resource settings.
        settings: The settings of the step for the step operator.
    """
    from zenml_azureml.azure.compute.placement import Demands

    gpu_class = getattr(resources, "gpu_class", None)  # only some versions of ZenML have it
    size = _size_of(gpu_class, settings.gpu_class_sizes or {})
    is_chip = gpu_class is not None and chip_named(gpu_class) is not None
    if gpu_class and size is None and not is_chip:
        _report(gpu_class)
    request = ResourceRequest(
        cpus=resources.cpu_count,
        gpus=resources.gpu_count,
        gpu_class=gpu_class if is_chip and size is None and resources.gpu_count != 0 else None,
        memory_gb=resources.get_memory(unit="GiB"),  # Azure's GB
        gpu_memory_gb=settings.gpu_memory_gb,
    )
    has_limit = settings.max_usd is not None or settings.max_usd_per_run is not None
    return Demands(request, settings.quota_check, size, price_matters=has_limit)


def _size_of(gpu_class: str | None, sizes: dict[str, str]) -> str | None:
    by_class = {name.lower(): size for name, size in sizes.items()}
    return by_class.get((gpu_class or "").lower())


@lru_cache(maxsize=256)
def _report(gpu_class: str) -> None:
    logger.info(
        "`gpu_class=%r` is a capacity class of ZenML, and not the name of a GPU that Azure has, so it does not select "
        "a VM size. To select one for it, set `gpu_class_sizes={%r: 'SIZE'}`.",
        gpu_class,
        gpu_class,
    )
