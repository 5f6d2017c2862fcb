"""Finds the computes that were to be deleted after a run: their tags name it. Nothing else is known of them."""

from __future__ import annotations

from dataclasses import dataclass

from azure.core.exceptions import AzureError

from zenml_azureml import tags
from zenml_azureml.azure.compute.mapping import found_compute
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.reader import find_compute
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error


@dataclass(frozen=True)
class ComputeLeft:
    """A compute that is to be deleted after a run.

    Attributes:
        run_id: Id of the run.
        server_id: Id of its ZenML server; empty if unknown.
        target: The compute.
    """

    run_id: str
    server_id: str
    target: ComputeTarget


def computes_left(connection: WorkspaceConnection, name: str | None = None) -> list[ComputeLeft]:
    """Return the computes that are to be deleted after runs. One request.

    Args:
        connection: The workspace.
        name: Name of the compute that is asked for; None for all of the workspace.

    Raises:
        AzureMLError: If Azure cannot be reached or refuses.
    """
    try:
        if name is None:
            with connection.reading():
                found = [found_compute(compute) for compute in connection.client.compute.list()]
        else:
            one = find_compute(connection, name)
            found = [] if one is None else [one]
    except AzureError as error:
        raise to_azureml_error("look for the computes that steps have left", error, connection.address) from error
    return [
        ComputeLeft(
            each.tags[tags.DELETE_AFTER_RUN],
            each.tags.get(tags.SERVER_ID, ""),
            ComputeTarget(each.name, each.kind, created=True, created_on=each.created_on),
        )
        for each in found
        if tags.DELETE_AFTER_RUN in each.tags and not each.is_being_deleted
    ]
