"""Azure's role-based access control: roles, their permissions, and their assignments. Pure.

How wildcards match follows from Azure's own roles: AzureML Data Scientist may read a workspace by
`workspaces/*/read`, and has to be kept from changing it by `workspaces/write`. So `/*/` stands for `/` too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_ML = "Microsoft.MachineLearningServices"
_REGISTRY = "Microsoft.ContainerRegistry/registries"
_CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"

#: What key vaults are in Azure Resource Manager.
PROVIDER_OF_VAULTS = "Microsoft.KeyVault/vaults"


@dataclass(frozen=True)
class Role:
    """A role definition.

    Attributes:
        id: The id that it has in every subscription.
        name: Name, e.g. `Reader`.
        description: Azure's description.
        actions: Allowed actions.
        not_actions: Exceptions from them.
        data_actions: Allowed actions on data in a resource, such as the secrets of a key vault.
    """

    id: str
    name: str
    description: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """True if it allows an action, e.g. `Microsoft.MachineLearningServices/workspaces/jobs/write`."""
        return _any_matches(self.actions, action) and not _any_matches(self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        """True if it allows an action on data, e.g. `Microsoft.KeyVault/vaults/secrets/getSecret/action`."""
        return _any_matches(self.data_actions, action)


@dataclass(frozen=True)
class RoleAssignment:
    """A role of a principal.

    Attributes:
        name: A GUID.
        scope: ARM id of its resource; it applies to everything below too.
        principal_id: Object id of the principal.
        role: The role.
        principal_type: `ServicePrincipal`, `User` or `Group`.
    """

    name: str
    scope: str
    principal_id: str
    role: Role
    principal_type: str = "ServicePrincipal"

    def covers(self, scope: str) -> bool:
        """True if it applies to a scope: its own, or one below."""
        return f"{scope}/".lower().startswith(f"{self.scope.rstrip('/')}/".lower())


#: Azure's own roles that have to do with Azure ML. Source: Microsoft's list of built-in roles ("Azure built-in roles
#: for AI + machine learning", "... for Containers", "... for Security", "... for Storage", "... General").
BUILT_IN_ROLES = (
    Role(
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Owner",
        "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
        ("*",),
    ),
    Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage "
        "assignments in Azure Blueprints, or share image galleries.",
        ("*",),
        (
            *("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    Role(
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "Reader",
        "View all resources, but does not allow you to make any changes.",
        ("*/read",),
    ),
    Role(
        "f6c7c914-8db3-469d-8ca1-694a8f32e121",
        "AzureML Data Scientist",
        "Can perform all actions within an Azure Machine Learning workspace, except for creating or deleting compute "
        "resources and modifying the workspace itself.",
        tuple(f"{_ML}/workspaces/*/{verb}" for verb in ("read", "action", "delete", "write")),
        (
            *(f"{_ML}/workspaces/delete", f"{_ML}/workspaces/write"),
            *(f"{_ML}/workspaces/computes/*/write", f"{_ML}/workspaces/computes/*/delete"),
            *(f"{_ML}/workspaces/computes/listKeys/action", f"{_ML}/workspaces/listKeys/action"),
        ),
    ),
    Role(
        "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
        "AzureML Compute Operator",
        "Can access and perform CRUD operations on Machine Learning Services managed compute resources (including "
        "Notebook VMs).",
        (f"{_ML}/workspaces/computes/*", f"{_ML}/workspaces/notebooks/vm/*"),
    ),
    Role(
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "Storage Blob Data Contributor",
        "Allows for read, write and delete access to Azure Storage blob containers and data",
        (
            *(f"{_CONTAINERS}/{verb}" for verb in ("delete", "read", "write")),
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=tuple(
            f"{_CONTAINERS}/blobs/{verb}" for verb in ("delete", "read", "write", "move/action", "add/action")
        ),
    ),
    Role(
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "Storage Blob Data Reader",
        "Allows for read access to Azure Storage blob containers and data",
        (
            f"{_CONTAINERS}/read",
            "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
        ),
        data_actions=(f"{_CONTAINERS}/blobs/read",),
    ),
    Role(
        "7f951dda-4ed3-4680-a7ca-43fe172d538d",
        "AcrPull",
        "acr pull",
        (f"{_REGISTRY}/pull/read",),
    ),
    Role(
        "8311e382-0749-4cb8-b61a-304f252e45ec",
        "AcrPush",
        "acr push",
        (f"{_REGISTRY}/pull/read", f"{_REGISTRY}/push/write"),
    ),
    Role(
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        "Perform all data plane operations on a key vault and all objects in it, including certificates, keys, and "
        "secrets. Cannot manage key vault resources or manage role assignments.",
        (f"{PROVIDER_OF_VAULTS}/*/read",),
        data_actions=(f"{PROVIDER_OF_VAULTS}/*",),
    ),
    Role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        "Perform any action on the secrets of a key vault, except manage permissions.",
        (f"{PROVIDER_OF_VAULTS}/*/read",),
        data_actions=(f"{PROVIDER_OF_VAULTS}/secrets/*",),
    ),
    Role(
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        "Read secret contents.",
        (),
        data_actions=tuple(f"{PROVIDER_OF_VAULTS}/secrets/{deed}/action" for deed in ("getSecret", "readMetadata")),
    ),
)


def role_named(name_or_id: str) -> Role | None:
    """Return the built-in role with that name or id, in any case."""
    wanted = name_or_id.lower()
    return next((role for role in BUILT_IN_ROLES if wanted in (role.name.lower(), role.id)), None)


def allowed(assignments: Iterable[RoleAssignment], principal_id: str, action: str, scope: str) -> bool:
    """True if a principal may do something.

    Args:
        assignments: All role assignments.
        principal_id: The principal.
        action: The action.
        scope: ARM id of the resource.
    """
    return any(assignment.role.allows(action) for assignment in held(assignments, principal_id, scope))


def allowed_data(assignments: Iterable[RoleAssignment], principal_id: str, action: str, scope: str) -> bool:
    """True if a principal may do something with data in a resource; for the arguments see `allowed`."""
    return any(assignment.role.allows_data(action) for assignment in held(assignments, principal_id, scope))


def held(assignments: Iterable[RoleAssignment], principal_id: str, scope: str) -> list[RoleAssignment]:
    """Return the role assignments of a principal that apply to a scope.

    Args:
        assignments: All role assignments.
        principal_id: The principal.
        scope: ARM id of the resource.
    """
    return [found for found in assignments if found.principal_id == principal_id and found.covers(scope)]


def _any_matches(patterns: Iterable[str], action: str) -> bool:
    return any(_compiled(pattern).fullmatch(action) for pattern in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*")
    return re.compile(escaped, re.IGNORECASE)
