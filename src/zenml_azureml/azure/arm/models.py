"""What an inspection of a workspace finds: plain data. Imports no `azure.*`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Credential:
    """The credential that signs in to the workspace.

    Attributes:
        source: Where it comes from, in the middle of a sentence.
        who: Whose it is, in the middle of a sentence; empty if the token does not tell.
        is_user: Whether that is a person.
        object_id: What roles are assigned to; empty if the token does not tell.
        expires_at: When the present token expires.
    """

    source: str
    who: str
    is_user: bool
    object_id: str
    expires_at: datetime


@dataclass(frozen=True)
class InspectedWorkspace:
    """A workspace.

    Attributes:
        path: Its ARM id.
        location: Its region.
        provisioning_state: `Succeeded`, unless something is wrong.
        is_public: Whether its own services can be reached from the public network.
        has_managed_network: Whether Azure ML keeps its computes in a network of their own.
        container_registry: ARM id of its own container registry; empty if it has none.
        principal_ids: Object ids of its managed identities.
    """

    path: str
    location: str
    provisioning_state: str
    is_public: bool
    has_managed_network: bool
    container_registry: str
    principal_ids: tuple[str, ...]


@dataclass(frozen=True)
class InspectedCompute:
    """A compute of the workspace.

    Attributes:
        name: Its name.
        kind: `compute instance`, `compute cluster`, or Azure's own word for another kind.
        size: VM size; empty if Azure does not say.
        state: The one word for how it is: `Running`, `Stopped`, `Steady`, `Failed`.
        nodes: Nodes that a cluster has now; None for other kinds.
        max_nodes: Nodes that it can have; None for other kinds.
        errors: What Azure says is wrong with it; empty if nothing is.
        has_subnet: Whether it is in a virtual network of the user's.
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
        """Whether no job can run on it, and starting it does not help."""
        return self.state.endswith("Failed") or self.state in ("Unusable", "Canceled")


@dataclass(frozen=True)
class InspectedRegistry:
    """A container registry of Azure's.

    Attributes:
        id: Its ARM id.
        host: Its login server, e.g. `team.azurecr.io`.
        provisioning_state: `Succeeded`, unless something is wrong.
        is_public: Whether the public network reaches it.
        only_some_addresses: Whether it lets in some addresses of the public network only.
        has_admin_user: Whether it has a user and password of its own, which Azure ML uses for the workspace's registry.
        lets_anybody_pull: Whether nobody has to sign in to pull.
    """

    id: str
    host: str
    provisioning_state: str
    is_public: bool
    only_some_addresses: bool
    has_admin_user: bool
    lets_anybody_pull: bool
