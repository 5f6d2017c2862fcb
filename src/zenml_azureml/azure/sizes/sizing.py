"""The VM size of a step's nodes: the one its settings name, or the cheapest that serves its resources."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from zenml_azureml.azure.sizes.catalogue import SizeCatalogue
from zenml_azureml.azure.sizes.quota import Quota, check_quota
from zenml_azureml.azure.sizes.selection import SizeChoice, check_explicit_size, choose_size, find_size
from zenml_azureml.azure.sizes.vm_size import ComputeKind, ResourceRequest, VmSize
from zenml_azureml.exceptions import AzureMLError

logger = logging.getLogger(__name__)

#: What missing quota means to a step.
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
    """Settle the size of a step's nodes, and see that there is quota for them before money is spent.

    A size by name wins over the resources, with a warning where it is smaller. Azure is asked nothing where
    there is nothing to choose and nothing to check.

    Args:
        catalogue: What the region offers.
        size: The size that the settings name, or that an existing cluster has, which may be one that is not
            offered any more; None for none.
        request: What the step's resources ask for.
        kind: The kind of compute.
        nodes: How many nodes are needed at a time.
        low_priority: Whether they are low-priority nodes.
        held_nodes: How many nodes an existing cluster may hold already, see `check_quota`; 0 where there is none.
        quota_check: Whether missing quota fails the step, or is a warning and leaves the job to wait in Azure's
            queue, or is not looked for.

    Returns:
        The size; None where nothing was asked for, and where nothing is known of the size by name.

    Raises:
        AzureMLError: If the region does not offer the size, no size serves the request, there is no quota,
            or Azure cannot be asked.
    """
    if request.is_empty and (size is None or quota_check == "off"):
        return None
    sizes = catalogue.sizes()
    if size is None:
        if sizes is None:
            raise _not_known(request, catalogue.region)
    elif sizes is None or (held_nodes and not _offered(size, sizes)):
        return None
    quota = Quota(catalogue.region, ()) if quota_check == "off" else catalogue.quota()
    if size is not None:
        choice = SizeChoice(find_size(size, sizes, catalogue.region), low_priority)
        for warning in check_explicit_size(choice.size, request):
            logger.warning("%s", warning)
    else:
        choose = partial(choose_size, request, sizes, kind=kind, nodes=nodes, low_priority=low_priority)
        choice = _chosen(choose, quota, quota_check)
    shortage = check_quota(choice.size, quota, nodes, low_priority, held_nodes=held_nodes)
    if shortage is not None:
        if quota_check == "fail":
            raise shortage.error()
        logger.warning("%s The job may wait in Azure's queue.", shortage.explain())
    return choice


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
        hint="Name the size in the settings, or have the credential's identity given a role such as Reader on the "
        "subscription.",
    )
