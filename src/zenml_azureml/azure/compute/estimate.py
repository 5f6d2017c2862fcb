"""Estimate of a job's placement and price before anything is created. Read-only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from azure.core.exceptions import AzureError

from zenml_azureml.azure.compute.placement import Demands, Placement, supposed
from zenml_azureml.azure.compute.placing import preview
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.reader import find_compute
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.sizes.catalogue import SizeCatalogue
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeSpec, ExistingCompute, Serverless
from zenml_azureml.specs.job import JobOptions


@dataclass(frozen=True)
class Estimate:
    """The compute that a job will run on, as far as it is known before the job is submitted.

    Attributes:
        placement: The compute, with its price.
        creates: True if the compute does not exist yet.
        gpus: Number of GPUs of each node; None if unknown.
    """

    placement: Placement
    creates: bool
    gpus: int | None


def estimate(connection: WorkspaceConnection, compute: ComputeSpec, options: JobOptions, demands: Demands) -> Estimate:
    """Return the estimate for a job.

    Args:
        connection: The workspace.
        compute: The requested compute.
        options: The options of the job.
        demands: The requirements on its machines.

    Raises:
        AzureMLError: If the compute cannot be read, no size meets the requirements, or quota is missing.
    """
    _, options = preview(connection, compute, options, demands)
    likely = supposed(compute, options, None)
    location, creates = options.locations[0] if options.locations else None, False
    if not isinstance(compute, Serverless):
        try:
            found = find_compute(connection, compute.name)
        except AzureError as error:
            raise to_azureml_error(f"read the compute `{compute.name}`", error, connection.address) from error
        creates = found is None and not isinstance(compute, ExistingCompute)
        if found is not None:
            low_priority = found.tier == "low_priority"
            target = ComputeTarget(compute.name, found.kind or likely.target.kind, low_priority=low_priority)
            likely = replace(likely, target=target, taken_away="low priority" if low_priority else "")
            likely = replace(likely, size=found.size or likely.size)
            location = found.location
    size = likely.size or demands.size or ""
    catalogue = SizeCatalogue(connection, location)
    price = catalogue.price_of(size, low_priority=bool(likely.taken_away)) if size else None
    return Estimate(replace(likely, size=size, price_per_hour=price), creates, _gpus(catalogue, size, demands))


def _gpus(catalogue: SizeCatalogue, size: str, demands: Demands) -> int | None:
    try:
        sizes = catalogue.sizes() if size else None
    except AzureMLError:
        sizes = None
    known = [one.gpus for one in sizes or () if one.name.lower() == size.lower()]
    return known[0] if known else demands.resources.gpus
