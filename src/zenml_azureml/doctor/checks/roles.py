"""Check that the credential's roles allow jobs, and computes if steps create them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zenml_azureml.azure.arm.models import Credential
from zenml_azureml.azure.arm.permissions import Permission, missing
from zenml_azureml.azure.cli_hints import az_assign_role
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning

if TYPE_CHECKING:
    from zenml_azureml.azure.connection import WorkspaceAddress

CHECK = "roles"

_WORKSPACE = "Microsoft.MachineLearningServices/workspaces"

#: Actions in Resource Manager for submitting, watching and cancelling jobs.
#: Source: the operator's own requests, and Microsoft's list of Azure Machine Learning's operations.
FOR_JOBS = (
    f"{_WORKSPACE}/read",
    f"{_WORKSPACE}/environments/versions/read",
    f"{_WORKSPACE}/environments/versions/write",
    f"{_WORKSPACE}/jobs/read",
    f"{_WORKSPACE}/jobs/write",
    f"{_WORKSPACE}/jobs/cancel/action",
)

#: Actions for creating and starting computes.
FOR_COMPUTE = (
    f"{_WORKSPACE}/computes/read",
    f"{_WORKSPACE}/computes/write",
    f"{_WORKSPACE}/computes/start/action",
)


@dataclass(frozen=True)
class Roles:
    """Permissions that exist, and that are needed.

    Attributes:
        credential: The credential.
        permissions: Permissions of its roles in the workspace.
        address: The workspace.
        makes_compute: True if the step operator's own configuration creates a compute.
    """

    credential: Credential
    permissions: tuple[Permission, ...]
    address: WorkspaceAddress
    makes_compute: bool


def check_roles(facts: Roles | Problem) -> Finding:
    """Check that the permissions are sufficient."""
    if isinstance(facts, Problem):
        return unknown(CHECK, facts)
    for_jobs, for_compute = missing(facts.permissions, FOR_JOBS), missing(facts.permissions, FOR_COMPUTE)
    who = facts.credential.who or facts.credential.source
    if for_jobs:
        lacking = for_jobs + (for_compute if facts.makes_compute else [])
        roles = [
            "AzureML Data Scientist",
            *(["AzureML Compute Operator"] if facts.makes_compute and for_compute else []),
        ]
        return failed(
            CHECK,
            f"{_capital(who)} may not run jobs in the workspace: no role allows {_named(lacking)}.",
            _how_to_assign(facts, roles),
        )
    if for_compute:
        what = f"{_capital(who)} may run jobs, but not create or start computes: no role allows {_named(for_compute)}."
        how = _how_to_assign(facts, ["AzureML Compute Operator"])
        if facts.makes_compute:
            return failed(CHECK, what, how)
        return warning(CHECK, f"{what} Serverless compute and running computes can be used.", how)
    return ok(CHECK, "May submit, watch and cancel jobs, and create and start computes")


def _named(actions: Sequence[str]) -> str:
    return ", ".join(action.removeprefix("Microsoft.MachineLearningServices/") for action in actions)


def _how_to_assign(facts: Roles, roles: Sequence[str]) -> str:
    credential, address = facts.credential, facts.address
    commands = "; ".join(
        az_assign_role(address, role, credential.object_id, address.path, is_user=credential.is_user) for role in roles
    )
    return f"Have an owner of the workspace run: {commands}. Role assignments can take a few minutes to take effect."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
