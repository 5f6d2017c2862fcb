"""Deletion of computes that were created for a step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from azure.core.exceptions import AzureError

from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.reader import find_compute
from zenml_azureml.azure.compute.state import FoundCompute, kind_in_words
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.waiter import Waiter

logger = logging.getLogger(__name__)


def delete_compute(
    connection: WorkspaceConnection, target: ComputeTarget, *, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Delete a compute that a step has created, once the step is over, and wait until it is deleted.

    It is kept, with a warning that gives the reason, if it has been replaced by another one of that name, or if it
    runs another job. A job that only queues for it is not detected.

    Args:
        connection: The workspace.
        target: The target from `ensure_compute`. If that did not create it, nothing happens, without a request.
        clock: Seconds since some fixed moment.

    Returns:
        True if it is deleted.

    Raises:
        AzureMLError: If Azure does not delete it; the message has the command to delete it manually.
    """
    if not target.created or target.name is None:
        return False
    label = f"{kind_in_words(target.kind)} `{target.name}`"
    by_hand = f"To delete it manually: {az_ml(connection.address, 'ml compute delete', name=target.name)}"
    try:
        found = find_compute(connection, target.name)
        if found is None:
            return True
        reason = _why_it_stays(connection, target, found)
        if reason:
            logger.warning("Kept the %s: %s. %s", label, reason, by_hand)
            return False
        logger.info("Deleting the %s, which was created for this step", label)
        Waiter(label, by_hand, clock).until_done(connection.client.compute.begin_delete(target.name), "Deleting")
    except AzureError as error:
        raise to_azureml_error(f"delete the {label}", error, connection.address, then=by_hand) from error
    return True


def _why_it_stays(connection: WorkspaceConnection, target: ComputeTarget, found: FoundCompute) -> str:
    """Return the reason why a compute must not be deleted, as a clause; empty if there is none."""
    if target.created_on is None:
        # azure-ai-ml 1.23 drops it for a cluster.
        return "this version of the Azure ML SDK does not report when it was created, so it may be a newer one"
    if found.kind != target.kind or found.created_on != target.created_on:
        return "it is not the one that was created for this step, but a newer one of that name"
    busy = found.condition == "JobRunning"
    if found.kind == "compute-cluster":
        nodes = connection.client.compute.list_nodes(target.name or "")
        # The SDK (1.35) keeps the fields of a node under their names in the API.
        busy = any(vars(node).get("runId") or node.current_job_name for node in nodes)
    return "another job runs on it" if busy else ""
