"""Datastores of a workspace, and whether a job can read and write them: checked before anything is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.arm.client import COMPUTES, DATASTORES, WORKSPACES, ResourceManager
from zenml_azureml.azure.arm.models import ManagedIdentity, managed_identities
from zenml_azureml.azure.arm.permissions import READ_BLOBS, WRITE_BLOBS
from zenml_azureml.azure.cli_hints import az_assign_role, az_ml
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import error_message, is_missing_workspace, to_azureml_error
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster, ComputeSpec, Serverless
from zenml_azureml.specs.job import JobIdentity

#: The roles that are enough. Source: Microsoft, "Set up service authentication" (identity-based data access).
READER, WRITER = "Storage Blob Data Reader", "Storage Blob Data Contributor"

#: Azure's name of the kind of compute whose jobs use its own identity.
_CLUSTER = "AmlCompute"


@dataclass(frozen=True)
class FoundDatastore:
    """A datastore.

    Attributes:
        name: Its name.
        has_credentials: True if it stores credentials; otherwise the identity of the job needs a role.
        account: ARM id of its storage account; empty if unknown.
    """

    name: str
    has_credentials: bool
    account: str = ""


@dataclass(frozen=True)
class Access:
    """The access of a job to a datastore.

    Attributes:
        datastore: Its name; empty for the workspace's default one.
        where: The setting that needs it, e.g. `inputs['train']`.
        writes: True if the job writes to it.
    """

    datastore: str
    where: str
    writes: bool


def find_datastore(connection: WorkspaceConnection, access: Access) -> FoundDatastore:
    """Find a datastore. One request.

    Args:
        connection: The workspace.
        access: The access to it.

    Raises:
        AzureMLError: If it does not exist, or the credential may not read it.
        AzureError: If Azure cannot be reached.
    """
    address, name = connection.address, access.datastore
    manager = ResourceManager(connection)
    try:
        with connection.reading():
            path = f"{address.path}/datastores"
            if name:
                return _datastore(manager.get(f"{path}/{name}", DATASTORES))
            defaults = manager.get(path, DATASTORES, "&isDefault=true&count=1").get("value") or []
            # Guess: there always is one. Without one the job itself will fail.
            return _datastore(defaults[0]) if defaults else FoundDatastore("", has_credentials=True)
    except ResourceNotFoundError as error:
        if is_missing_workspace(error):
            raise to_azureml_error(f"look up the datastore `{name}`", error, address) from error
        raise AzureMLError(
            f"`{access.where}`: the workspace `{address.name}` has no datastore `{name}`.",
            azure_message=error_message(error),
            hint=f"Correct the setting. List the datastores:\n{az_ml(address, 'ml datastore list')}",
        ) from error
    except AzureError as error:
        raise to_azureml_error(
            f"look up the datastore `{name}` of `{access.where}`" if name else "look up the default datastore",
            error,
            address,
        ) from error


def check_identity(
    connection: WorkspaceConnection,
    datastore: FoundDatastore,
    access: Access,
    compute: ComputeSpec,
    identity: JobIdentity | None,
) -> None:
    """Check that a job's identity can use a datastore without credentials. No request if it cannot be known.

    Args:
        connection: The workspace.
        datastore: The datastore.
        access: The access to it.
        compute: The compute of the job.
        identity: The requested identity of the job.

    Raises:
        AzureMLError: If the job has no identity, or its identity has no role for the access.
        AzureError: If Azure cannot be reached.
    """
    # Guess: on serverless compute without `identity`, and on an instance, the job acts as the user.
    # `make live`: test_data_that_the_identity_of_a_cluster_reads.
    if datastore.has_credentials or (identity is not None and identity.kind == "user"):
        return
    if isinstance(compute, Serverless) and identity is None:
        return
    address, manager = connection.address, ResourceManager(connection)
    try:
        with connection.reading():
            found = _identities(manager, address, compute)
            if found is None:
                return
            client_id = identity.client_id if identity is not None else None
            own = next((one for one in found if client_id in (None, one.client_id)), None)
            action = WRITE_BLOBS if access.writes else READ_BLOBS
            held = manager.permissions_of(own.object_id, datastore.account) if own and datastore.account else None
    except AzureError as error:
        raise to_azureml_error(f"check the access to the datastore `{datastore.name}`", error, address) from error
    what = f"`{access.where}`: the datastore `{datastore.name}` stores no credentials"
    if own is None:
        raise AzureMLError(
            f"{what}, and {_described(compute)} has no managed identity to access it with.",
            hint=_how_to_give_identity(compute, address),
        )
    if held is not None and not any(permission.allows_data(action) for permission in held):
        role, verb = (WRITER, "write to") if access.writes else (READER, "read")
        raise AzureMLError(
            f"{what}, and the managed identity of {_described(compute)} may not {verb} its storage account.",
            hint=f"Assign the role `{role}` on the storage account to the identity:\n"
            f"{az_assign_role(address, role, own.object_id, datastore.account)}",
        )


def _identities(
    manager: ResourceManager, address: WorkspaceAddress, compute: ComputeSpec
) -> list[ManagedIdentity] | None:
    """Return the identities that jobs on a compute can have; None if they cannot be known."""
    if isinstance(compute, Serverless):
        # Source: Microsoft, "Model training on serverless compute": those that are assigned to the workspace.
        body = manager.get(address.path, WORKSPACES)
        return [identity for identity in managed_identities(body) if identity.path]
    try:
        body = manager.get(f"{address.path}/computes/{compute.name}", COMPUTES)
    except ResourceNotFoundError as error:
        if is_missing_workspace(error):
            raise
        # The operator creates it; its identity will need a role after that.
        return [] if isinstance(compute, ComputeCluster) and compute.identity is None else None
    if (body.get("properties") or {}).get("computeType") != _CLUSTER:
        return None
    return list(managed_identities(body))


def _described(compute: ComputeSpec) -> str:
    return "serverless compute" if isinstance(compute, Serverless) else f"the compute `{compute.name}`"


def _how_to_give_identity(compute: ComputeSpec, address: WorkspaceAddress) -> str:
    by_user = "Or set `identity='user'`, so that the job acts as you."
    if isinstance(compute, Serverless):
        return "Add a user-assigned identity to the workspace (Azure portal: the workspace, then Identity). " + by_user
    command = az_ml(address, "ml compute update", name=compute.name, identity_type="system_assigned")
    return (
        f"Assign an identity to it:\n{command}\nFor a compute that the operator creates, set `compute_identity`. "
        f"{by_user}"
    )


def _datastore(body: Mapping[str, Any]) -> FoundDatastore:
    properties = body.get("properties") or {}
    place = [properties.get(key) for key in ("subscriptionId", "resourceGroup", "accountName")]
    subscription, group, account = place
    return FoundDatastore(
        str(body.get("name") or ""),
        # Guess: a datastore without this member stores credentials, as older answers of Azure have none.
        has_credentials=(properties.get("credentials") or {}).get("credentialsType") != "None",
        account=f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{account}"
        if all(place)
        else "",
    )
