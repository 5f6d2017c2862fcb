"""Results of the read-only queries: plain data. Imports no `azure.*`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Credential:
    """The credential that signs in to the workspace.

    Attributes:
        source: Its source, as it stands in the middle of a sentence.
        who: Its owner, as it stands in the middle of a sentence; empty if the token does not contain it.
        is_user: True if the owner is a person.
        object_id: The owner's object id, for role assignments; empty if the token does not contain it.
        expires_at: Time at which the present token expires.
    """

    source: str
    who: str
    is_user: bool
    object_id: str
    expires_at: datetime


@dataclass(frozen=True)
class ManagedIdentity:
    """A managed identity of a workspace or a compute.

    Attributes:
        object_id: Its object id, for role assignments.
        path: ARM id of a user-assigned one; empty for the system-assigned one.
        client_id: Its client id; empty for the system-assigned one, whose client id Resource Manager does not show.
    """

    object_id: str
    path: str = ""
    client_id: str = ""


def managed_identities(body: Mapping[str, Any]) -> tuple[ManagedIdentity, ...]:
    """Return the managed identities of a resource, the system-assigned one first.

    Args:
        body: The resource as Resource Manager returns it.
    """
    found = body.get("identity") or {}
    own = ManagedIdentity(str(found.get("principalId") or ""))
    assigned = [
        ManagedIdentity(str((one or {}).get("principalId") or ""), path, str((one or {}).get("clientId") or ""))
        for path, one in (found.get("userAssignedIdentities") or {}).items()
    ]
    return tuple(identity for identity in (own, *assigned) if identity.object_id)


@dataclass(frozen=True)
class InspectedWorkspace:
    """A workspace.

    Attributes:
        path: Its ARM id.
        location: Its region.
        provisioning_state: `Succeeded`, unless something is wrong.
        is_public: True if its own services can be reached from the public network.
        has_managed_network: True if Azure ML keeps its computes in a managed network.
        container_registry: ARM id of its own container registry; empty if it has none.
        principal_ids: Object ids of its managed identities.
        storage_account: ARM id of its storage account; empty if Azure does not report it.
        storage_by_identity: True if its own datastores accept identities only, and no account keys.
    """

    path: str
    location: str
    provisioning_state: str
    is_public: bool
    has_managed_network: bool
    container_registry: str
    principal_ids: tuple[str, ...]
    storage_account: str = ""
    storage_by_identity: bool = False


@dataclass(frozen=True)
class Lock:
    """A lock on a resource group or on something in it.

    Attributes:
        name: Its name.
        is_read_only: True if it allows no writes; False if it only prevents deletions.
    """

    name: str
    is_read_only: bool


@dataclass(frozen=True)
class InspectedCompute:
    """A compute of the workspace.

    Attributes:
        name: Its name.
        kind: `compute instance`, `compute cluster`, or Azure's name for another kind.
        size: VM size; empty if Azure does not report it.
        state: Its state in one word: `Running`, `Stopped`, `Steady`, `Failed`.
        nodes: Nodes that a cluster has now; None for other kinds.
        max_nodes: Nodes that it can have; None for other kinds.
        errors: Azure's error messages about it; empty if there are none.
        has_subnet: True if it is in a virtual network of the user's.
        principal_ids: Object ids of its managed identities.
    """

    name: str
    kind: str
    size: str
    state: str
    nodes: int | None
    max_nodes: int | None
    errors: str
    has_subnet: bool
    principal_ids: tuple[str, ...]

    @property
    def is_broken(self) -> bool:
        """True if no job can run on it, and starting it does not help."""
        return self.state.endswith("Failed") or self.state in ("Unusable", "Canceled")


@dataclass(frozen=True)
class InspectedRegistry:
    """An Azure container registry.

    Attributes:
        id: Its ARM id.
        host: Its login server, e.g. `team.azurecr.io`.
        provisioning_state: `Succeeded`, unless something is wrong.
        is_public: True if the public network reaches it.
        only_some_addresses: True if it allows only some addresses of the public network.
        has_admin_user: True if its admin user is enabled, which Azure ML uses for the workspace's registry.
        lets_anybody_pull: True if a pull needs no sign-in.
    """

    id: str
    host: str
    provisioning_state: str
    is_public: bool
    only_some_addresses: bool
    has_admin_user: bool
    lets_anybody_pull: bool
