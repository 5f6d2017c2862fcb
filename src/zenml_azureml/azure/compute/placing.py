"""Places jobs: their compute and VM size, chosen together with few requests."""

from __future__ import annotations

import logging
from dataclasses import replace

from azure.core.exceptions import AzureError

from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.azure.compute.placement import ANYWHERE, Demands, Placement, spot_of
from zenml_azureml.azure.compute.provisioner import ComputeTarget, ensure_compute
from zenml_azureml.azure.compute.reader import find_compute
from zenml_azureml.azure.compute.state import ComputeKind, kind_in_words
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.sizes.catalogue import SizeCatalogue
from zenml_azureml.azure.sizes.retired import retirement_of
from zenml_azureml.azure.sizes.selection import SizeChoice, check_explicit_size
from zenml_azureml.azure.sizes.sizing import settle_size
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, ExistingCompute, Serverless
from zenml_azureml.specs.job import JobOptions

logger = logging.getLogger(__name__)

#: `max_instances` of a cluster that names none. Source: azure-ai-ml, `AmlCompute`.
_SDKS_MAX_INSTANCES = 4


def place(
    connection: WorkspaceConnection,
    compute: ComputeSpec,
    options: JobOptions,
    demands: Demands,
    time: Time = SYSTEM_TIME,
) -> tuple[Placement, JobOptions]:
    """Place a job: find, start or create its compute, and choose its VM size.

    Sizes and quota are requested only if a size has to be chosen or checked: for serverless compute with a size or
    resources, for a compute that has to be created with either, and for an existing one if there are requirements on
    resources. In other cases, the sizes are read once per process and region for their prices; a failure of that is
    ignored.

    Args:
        connection: The workspace.
        compute: The requested compute.
        options: The options of the job.
        demands: The requirements on its machines.
        time: Source of time.

    Returns:
        The placement, and the options with the VM size that was chosen.

    Raises:
        AzureMLError: If the compute cannot be provisioned, no size meets the requirements, or quota is missing.
    """
    nodes = options.instance_count or 1
    if isinstance(compute, Serverless):
        found, options = _place_serverless(connection, options, demands)
        if found.size and found.price_per_hour is None:
            found = replace(found, price_per_hour=_price_of_serverless(connection, options, demands, found.size))
    else:
        found = _place_on(connection, compute, options, demands, time)
        if isinstance(compute, ExistingCompute):
            options = for_existing(found.target, options, demands)
            found = replace(found, size=options.instance_type or found.size)
    low_priority = "low priority" if found.target.low_priority else ""
    return replace(found, nodes=nodes, taken_away=low_priority or spot_of(options)), options


def _place_on(
    connection: WorkspaceConnection,
    compute: ComputeInstance | ComputeCluster | ExistingCompute,
    options: JobOptions,
    demands: Demands,
    time: Time,
) -> Placement:
    choices: list[SizeChoice] = []
    nodes = options.instance_count or 1

    def settle(missing: ComputeInstance | ComputeCluster) -> ComputeInstance | ComputeCluster:
        missing = _with_room_for(missing, nodes, connection.address)
        missing = replace(missing, size=missing.size or demands.size)
        choice = _size_of_new(connection, missing, options, demands)
        if choice is None:
            return missing
        choices.append(choice)
        return replace(missing, size=choice.size.name)

    target = ensure_compute(connection, compute, settle=settle, clock=time.monotonic, sleep=time.sleep)
    if target.max_nodes is not None and target.max_nodes < nodes:
        raise _too_few_nodes(str(target.name), target.max_nodes, nodes, connection.address)
    if choices:
        return Placement(target, choices[0].size.name, choices[0].price_per_hour)
    if not target.size:
        return Placement(target)
    if not target.created and (retirement := retirement_of(target.size)):
        logger.warning("%s The compute `%s` gets no further nodes.", retirement.describe(target.size), target.name)
    if not target.created and not demands.resources.is_empty:
        _compare_with_existing(connection, target.size, demands.resources)
    # Prices of the region of its nodes, which is known from the compute.
    catalogue = SizeCatalogue(connection, target.location)
    price = catalogue.price_of(target.size, low_priority=target.low_priority, required=demands.price_matters)
    return Placement(target, target.size, price)


def for_existing(target: ComputeTarget, options: JobOptions, demands: Demands) -> JobOptions:
    """Return the options of a job on an existing compute; log which requirements do not apply to it.

    Only attached Kubernetes clusters have instance types. Azure ML lists neither these nor their resources.

    Args:
        target: The compute.
        options: The options of the job.
        demands: The requirements on its machines.
    """
    if target.kind == "kubernetes":
        options = replace(options, instance_type=options.instance_type or demands.size)
        if options.instance_type is None and not demands.resources.is_empty:
            logger.warning(
                "The step's resources (%s) are not applied: `%s` is an attached Kubernetes cluster, and Azure ML does "
                "not list its instance types. Set `instance_type` to one of them.",
                demands.resources.describe(),
                target.name,
            )
        return options
    if options.instance_type is not None:
        logger.warning(
            "`instance_type` is ignored: the %s `%s` has a size of its own.", kind_in_words(target.kind), target.name
        )
    return replace(options, instance_type=None)


def preview(
    connection: WorkspaceConnection, compute: ComputeSpec, options: JobOptions, demands: Demands
) -> tuple[str | None, JobOptions]:
    """Preview the placement of a job, without creating or starting a compute.

    An existing compute is requested only if the options have an instance type, which it may not have.

    Args:
        connection: The workspace.
        compute: The requested compute.
        options: The options of the job.
        demands: The requirements on its machines.

    Returns:
        Name of the compute, None for serverless; and the options with the VM size that would be chosen.

    Raises:
        AzureMLError: If no size meets the requirements, or quota is missing.
    """
    if isinstance(compute, Serverless):
        _, complete = _place_serverless(connection, options, demands)
        return None, complete
    if isinstance(compute, ExistingCompute) and options.instance_type:
        options = for_existing(ComputeTarget(compute.name, _kind_of(connection, compute.name)), options, demands)
    return compute.name, options


def _kind_of(connection: WorkspaceConnection, name: str) -> ComputeKind | None:
    try:
        found = find_compute(connection, name)
    except AzureError as error:
        raise to_azureml_error(f"read the compute `{name}`", error, connection.address) from error
    return found.kind if found else None


def _place_serverless(
    connection: WorkspaceConnection, options: JobOptions, demands: Demands
) -> tuple[Placement, JobOptions]:
    options = replace(options, instance_type=options.instance_type or demands.size)
    choice = settle_size(
        _sizes_of_serverless(connection, options),
        size=options.instance_type,
        request=demands.resources,
        kind="serverless",
        nodes=options.instance_count or 1,
        low_priority=bool(spot_of(options)),
        quota_check=demands.quota_check,
    )
    if choice is None:
        return replace(ANYWHERE, size=options.instance_type or ""), options
    placement = replace(ANYWHERE, size=choice.size.name, price_per_hour=choice.price_per_hour)
    return placement, replace(options, instance_type=choice.size.name)


def _price_of_serverless(
    connection: WorkspaceConnection, options: JobOptions, demands: Demands, size: str
) -> float | None:
    catalogue = _sizes_of_serverless(connection, options)
    return catalogue.price_of(size, low_priority=bool(spot_of(options)), required=demands.price_matters)


def _sizes_of_serverless(connection: WorkspaceConnection, options: JobOptions) -> SizeCatalogue:
    # With several locations, Azure chooses among them. All have the common sizes, so the first one serves here.
    return SizeCatalogue(connection, options.locations[0] if options.locations else None)


def _with_room_for(
    missing: ComputeInstance | ComputeCluster, nodes: int, address: WorkspaceAddress
) -> ComputeInstance | ComputeCluster:
    """Return the spec of a new cluster with room for the job: if its maximum is not set, the SDK's default is 4."""
    if not isinstance(missing, ComputeCluster) or nodes <= (missing.max_instances or _SDKS_MAX_INSTANCES):
        return missing
    if missing.max_instances is not None:
        raise _too_few_nodes(missing.name, missing.max_instances, nodes, address)
    return replace(missing, max_instances=nodes)


def _too_few_nodes(name: str, has: int, needs: int, address: WorkspaceAddress) -> AzureMLError:
    return AzureMLError(
        f"The step requests {needs} nodes (`instance_count`), but the compute `{name}` has at most {has}, so its job "
        "would wait indefinitely.",
        hint="Lower `instance_count`, or raise the maximum of the compute; for a new one that is `max_instances`:\n"
        f"{az_ml(address, 'ml compute update', name=name, max_instances=str(needs))}",
    )


def _size_of_new(
    connection: WorkspaceConnection,
    missing: ComputeInstance | ComputeCluster,
    options: JobOptions,
    demands: Demands,
) -> SizeChoice | None:
    is_cluster = isinstance(missing, ComputeCluster)
    choice = settle_size(
        SizeCatalogue(connection, missing.location if isinstance(missing, ComputeCluster) else None),
        size=missing.size,
        request=demands.resources,
        kind="compute-cluster" if is_cluster else "compute-instance",
        nodes=_nodes_at_once(missing, options),
        low_priority=isinstance(missing, ComputeCluster) and missing.tier == "low_priority",
        quota_check=demands.quota_check,
    )
    if choice is not None and missing.size is None:
        logger.info("Chose %s for %s.", choice.describe(), demands.resources.describe())
    return choice


def _nodes_at_once(missing: ComputeInstance | ComputeCluster, options: JobOptions) -> int:
    if isinstance(missing, ComputeInstance):
        return 1
    return max(options.instance_count or 1, missing.min_instances or 0)


def _compare_with_existing(connection: WorkspaceConnection, size: str, resources: ResourceRequest) -> None:
    # A size that the region no longer offers, such as a retired one, cannot be compared.
    known = [offered for offered in SizeCatalogue(connection).sizes() or () if offered.name.lower() == size.lower()]
    for warning in check_explicit_size(known[0], resources) if known else ():
        logger.warning("%s", warning)
