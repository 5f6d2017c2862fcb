"""The managed identities that a job's machine has, and what the job sees of them. Pure.

Sources: "Set up authentication between Azure Machine Learning and other services" (a compute's identities, and
DEFAULT_IDENTITY_CLIENT_ID), azure-identity's `AzureMLCredential` (MSI_ENDPOINT, MSI_SECRET).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: Path of the endpoint for IDENTITY_ENDPOINT (App Service) and MSI_ENDPOINT (Azure ML), which differ by a header.
ENDPOINT = "/msi/token"

#: Path of the metadata service of virtual machines, below which clients ask: it has no header for a secret.
METADATA_ENDPOINT = "/imds/{secret}"

#: Path of the endpoint at which a job gets tokens of the user who submitted it. Its client,
#: `azure.ai.ml.identity.AzureMLOnBehalfOfCredential`, sends no secret but the address itself.
USER_ENDPOINT = "/obo/{secret}/token"


@dataclass(frozen=True)
class MachineIdentity:
    """A managed identity.

    Attributes:
        client_id: Of its application.
        object_id: Of its service principal, which roles are assigned to.
        resource_id: ARM id of what it is, or belongs to.
    """

    client_id: str
    object_id: str
    resource_id: str


def identities_in(identity: Json | None, resource_id: str) -> list[MachineIdentity]:
    """Return the identities that a resource's `identity` names, its own first.

    Args:
        identity: As Resource Manager shows it.
        resource_id: ARM id of the resource.
    """
    if not identity:
        return []
    found = []
    if identity.get("principalId"):
        own = str(identity["principalId"])
        found.append(MachineIdentity(str(uuid.uuid5(uuid.UUID(own), "client")), own, resource_id))
    for path, ids in (identity.get("userAssignedIdentities") or {}).items():
        found.append(MachineIdentity(ids["clientId"], ids["principalId"], path))
    return found


def user_assigned(paths: Iterable[str]) -> Json:
    """Return `userAssignedIdentities` with ids of Microsoft Entra: always the same for one ARM id.

    Args:
        paths: ARM ids of the identities.
    """
    return {
        path: {
            "principalId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path}/principal")),
            "clientId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path}/client")),
        }
        for path in paths
    }


def acts_as_user(job: Job) -> bool:
    """True if a job acts as the user who submitted it."""
    return str((job.properties.get("identity") or {}).get("identityType", "")) == "UserIdentity"


def user_endpoint(job: Job) -> str:
    """Return the path at which a job gets tokens of its user."""
    return USER_ENDPOINT.format(secret=job.machine_secret)


def identities_of(job: Job, workspace: Workspace, compute: str | None) -> list[MachineIdentity]:
    """Return the managed identities that a job can act as.

    Args:
        job: The job.
        workspace: Its workspace.
        compute: Name of its compute; None for serverless.
    """
    asked = str((job.properties.get("identity") or {}).get("identityType", ""))
    if compute is None:
        # Source: Microsoft, "Model training on serverless compute": that of the workspace, if the job requests one.
        return _serverless(workspace) if asked == "Managed" else []
    found = workspace.find_compute(compute)
    # Guess: a job that acts as its user, or without an identity, does not see the compute's identity.
    if found is None or asked not in ("", "Managed"):
        return []
    return identities_in(found.body.get("identity"), str(found.body["id"]))


def _serverless(workspace: Workspace) -> list[MachineIdentity]:
    """Return a workspace's user-assigned identities, the primary one first; its own is not for serverless compute."""
    # Guess: it is the primary one, if there are several and the job names none.
    found = identities_in({"userAssignedIdentities": workspace.user_assigned}, workspace.path)
    return sorted(found, key=lambda one: one.resource_id != workspace.primary_identity)
