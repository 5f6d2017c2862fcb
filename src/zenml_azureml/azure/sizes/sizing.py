"""The VM size of a step's nodes: the one in its settings, or the cheapest that meets its resources."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from zenml_azureml.azure.sizes.catalogue import SizeCatalogue
from zenml_azureml.azure.sizes.gpu import chip_named
from zenml_azureml.azure.sizes.quota import Quota, check_quota
from zenml_azureml.azure.sizes.retired import retirement_of
from zenml_azureml.azure.sizes.selection import SizeChoice, check_explicit_size, choose_size, find_size
from zenml_azureml.azure.sizes.vm_size import ComputeKind, ResourceRequest, VmSize
from zenml_azureml.exceptions import AzureMLError

logger = logging.getLogger(__name__)

#: The reaction to missing quota.
QuotaCheck = Literal["fail", "warn", "off"]


def settle_size(
    catalogue: SizeCatalogue,
    *,
    size: str | None,
    request: ResourceRequest,
    kind: ComputeKind,
    nodes: int = 1,
    low_priority: bool = False,
    held_nodes: int = 0,
    quota_check: QuotaCheck = "fail",
) -> SizeChoice | None:
    """Choose or check the size of a step's nodes, and check the quota for them before money is spent.

    A size by name takes precedence over the resources, with a warning if it is smaller. If there is nothing to choose
    or to check, no request is sent.

    Args:
        catalogue: The sizes and quota of the region.
        size: The size that the settings name, or that an existing cluster has, which may be one that is not
            offered any more; None for none.
        request: The step's resources.
        kind: The kind of compute.
        nodes: Number of nodes that are needed at a time.
        low_priority: True for low-priority nodes.
        held_nodes: Number of nodes that an existing cluster may hold already, see `check_quota`; 0 if there is none.
        quota_check: `fail` to fail the step if quota is missing, `warn` to warn and let the job wait in Azure's
            queue, `off` for no check.

    Returns:
        The size; None if none was requested, or if a size by name is unknown.

    Raises:
        AzureMLError: If the region does not offer the size, no size meets the request, there is no quota,
            or Azure cannot be reached.
    """
    if request.is_empty and (size is None or quota_check == "off"):
        _warn_if_retired(size)
        return None
    sizes = catalogue.sizes()
    if size is None:
        if sizes is None:
            raise _not_known(request, catalogue.region)
    elif sizes is None or (held_nodes and not _offered(size, sizes)):
        _warn_if_retired(None if held_nodes else size)
        return None
    quota = Quota(catalogue.region, ()) if quota_check == "off" else catalogue.quota()
    if size is not None:
        choice = SizeChoice(find_size(size, sizes, catalogue.region, catalogue.address), low_priority)
        for warning in check_explicit_size(choice.size, request):
            logger.warning("%s", warning)
    else:
        request = _with_known_class(request, sizes, catalogue.region)
        choose = partial(choose_size, request, sizes, kind=kind, nodes=nodes, low_priority=low_priority)
        choice = _chosen(choose, quota, quota_check)
    shortage = check_quota(choice.size, quota, nodes, low_priority, held_nodes=held_nodes)
    if shortage is not None:
        if quota_check == "fail":
            raise shortage.error()
        logger.warning("%s The job may wait in Azure's queue.", shortage.explain())
    return choice


def _warn_if_retired(size: str | None) -> None:
    """Log that a size is retired, which Azure's own refusal does not say."""
    retirement = retirement_of(size) if size else None
    if size and retirement:
        logger.warning("%s", retirement.describe(size))


def _with_known_class(request: ResourceRequest, sizes: Sequence[VmSize], region: str) -> ResourceRequest:
    """Return the request without its GPU class if the region has none: a class never makes a step fail."""
    chips = {size.gpu.chip for size in sizes if size.gpu}
    if request.gpu_class is None or chip_named(request.gpu_class) in chips:
        return request
    logger.warning(
        "`gpu_class=%r` is not applied: no VM size of Azure ML in `%s` has such GPUs. It has: %s.",
        request.gpu_class,
        region,
        ", ".join(sorted(chips)) or "none",
    )
    return replace(request, gpus=request.gpus_wanted, gpu_class=None)


def _chosen(choose: Callable[[Quota], SizeChoice], quota: Quota, quota_check: QuotaCheck) -> SizeChoice:
    try:
        return choose(quota)
    except AzureMLError:
        if quota_check == "fail":
            raise
        return choose(Quota(quota.region, ()))


def _offered(size: str, sizes: Sequence[VmSize]) -> bool:
    return size.lower() in {offered.name.lower() for offered in sizes}


def _not_known(request: ResourceRequest, region: str) -> AzureMLError:
    return AzureMLError(
        f"No VM size can be chosen for {request.describe()}: the credential may not list the sizes of `{region}`.",
        hint="Set the size in the settings, or have a role such as Reader on the subscription assigned to the "
        "credential's identity.",
    )
