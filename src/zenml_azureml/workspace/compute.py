"""From a compute request to a target that can run a job: look up, start, create."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from azure.ai.ml import entities
from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.failures import AzureMLError
from zenml_azureml.request import (
    ComputeCluster,
    ComputeInstance,
    ComputeRequest,
    ExistingCompute,
    Serverless,
)
from zenml_azureml.workspace.connection import WorkspaceConnection
from zenml_azureml.workspace.errors import explain, is_missing_workspace

logger = logging.getLogger(__name__)

#: The SDK's names of the two kinds of compute, and ours.
_KINDS = {"computeinstance": "compute-instance", "amlcompute": "compute-cluster"}


def ensure_compute(connection: WorkspaceConnection, request: ComputeRequest) -> str | None:
    """Make sure that the compute that a step asks for is there.

    Args:
        connection: The workspace.
        request: What the step asks for.

    Returns:
        Name of the compute target; None for serverless compute.

    Raises:
        AzureMLError: If it is missing and not to be created, is of the other kind, or cannot be had.
    """
    if isinstance(request, Serverless):
        return None
    try:
        compute = _find(connection, request.name)
        if compute is None:
            _create(connection, request)
        else:
            _check(compute, request)
            _start_if_stopped(connection, compute)
    except AzureError as error:
        raise explain(f"preparing the compute `{request.name}`", error, connection.address) from error
    return request.name


def _find(connection: WorkspaceConnection, name: str) -> entities.Compute | None:
    try:
        compute: entities.Compute = connection.client.compute.get(name)
        return compute
    except ResourceNotFoundError as error:
        if is_missing_workspace(error):
            raise
        return None


def _check(compute: entities.Compute, request: ComputeRequest) -> None:
    found = _KINDS.get(str(compute.type).lower(), str(compute.type))
    wanted = _mode_of(request)
    if wanted is not None and found != wanted:
        raise AzureMLError(
            f"The step asks for a {wanted} named `{compute.name}`, but the workspace has a {found} of that name.",
            do_next=f"Set `mode={found!r}`, or another `compute_name`.",
        )
    logger.info("Using the existing %s `%s` (%s).", found, compute.name, compute.size)  # type: ignore[attr-defined]


def _mode_of(request: ComputeRequest) -> str | None:
    if isinstance(request, ComputeInstance):
        return "compute-instance"
    return "compute-cluster" if isinstance(request, ComputeCluster) else None


def _start_if_stopped(connection: WorkspaceConnection, compute: entities.Compute) -> None:
    if str(compute.type).lower() != "computeinstance":
        return
    state = str(compute.state)  # type: ignore[attr-defined]
    if state == "Stopped":
        logger.info("The compute instance `%s` is stopped: starting it.", compute.name)
        connection.client.compute.begin_start(str(compute.name)).result()
    elif state != "Running":
        raise AzureMLError(
            f"The compute instance `{compute.name}` is {state}, so it cannot run a job now.",
            do_next="Wait until it is Running, or restart it in Azure ML Studio, and run the step again.",
        )


def _create(connection: WorkspaceConnection, request: ComputeInstance | ComputeCluster | ExistingCompute) -> None:
    if isinstance(request, ExistingCompute):
        raise AzureMLError(
            f"There is no compute target named `{request.name}` in the workspace `{connection.address.name}`.",
            do_next="Correct `compute_target_name`; or, to have it created, set `mode` to `compute-instance` or "
            f"`compute-cluster` and `compute_name` to {request.name!r}.",
        )
    logger.info("Creating the %s `%s`; this can take some minutes.", _mode_of(request), request.name)
    connection.client.compute.begin_create_or_update(_entity(request)).result()


def _entity(request: ComputeInstance | ComputeCluster) -> entities.Compute:
    if isinstance(request, ComputeInstance):
        return entities.ComputeInstance(
            name=request.name,
            size=request.size,
            idle_time_before_shutdown_minutes=_seconds(request.idle_time_before_shutdown, per=60),
        )
    options: dict[str, Any] = {
        "location": request.location,
        "min_instances": request.min_instances,
        "max_instances": request.max_instances,
        "idle_time_before_scale_down": _seconds(request.idle_time_before_scale_down),
        "tier": request.tier,
    }
    # None is not "leave it to Azure" here: it would take the place of the SDK's defaults.
    given = {name: value for name, value in options.items() if value is not None}
    return entities.AmlCompute(name=request.name, size=request.size, **given)


def _seconds(span: timedelta | None, per: int = 1) -> int | None:
    return None if span is None else int(span.total_seconds()) // per
