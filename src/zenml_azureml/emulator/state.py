"""State of the emulated workspaces.

These objects live on the event loop's one thread: handlers change them between two `await`s and need no lock. What a
job writes lives in its folder below the emulator's state folder. An emulator whose state lasts saves each change
(`persistence/journal.py`).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from zenml_azureml.emulator.resources import AssetContainer, Compute, Datastore, Job, Operation
from zenml_azureml.emulator.services.arm.rbac import RoleAssignment, role_named
from zenml_azureml.emulator.services.keyvault.store import Vault
from zenml_azureml.emulator.types import Json

PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True)
class WorkspaceName:
    """Name of an emulated workspace, and its Azure region."""

    subscription_id: str = "00000000-0000-0000-0000-000000000001"
    resource_group: str = "emulator"
    name: str = "emulator"
    location: str = "westeurope"


@dataclass
class Workspace:
    """An Azure ML workspace.

    Attributes:
        studio: Address that links to Azure ML Studio begin with.
        jobs: By name in lower case, oldest first: `find_job` compares as ARM does.
        assets: Environments, data, models, code and components: by the kind in their ids, and by name.
        datastores: Those that users have made, by name, the oldest first.
        default_datastore: Name of the default datastore.
        computes: By name.
        storage_key: The key of the storage account that its jobs' files are in.
        container_registry: ARM id of the container registry that belongs to it; None if none was needed yet.
        user_assigned: Its user-assigned identities, as ARM shows them.
        primary_identity: ARM id of that one of them which it uses; None for its own.
        tags: Its tags.
        updated: Properties that an update has set.
        on_change: Called when its jobs have changed; None if its state does not last.
        looked_up: Names in lower case of jobs that may have changed since they were saved.
        removed: Names of jobs that were removed since then.
    """

    subscription_id: str
    resource_group: str
    name: str
    location: str
    created_at: datetime
    studio: str = "https://ml.azure.com"
    workspace_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    storage_key: bytes = field(default_factory=lambda: secrets.token_bytes(64), repr=False)
    container_registry: str | None = None
    user_assigned: Json = field(default_factory=dict)
    primary_identity: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    updated: Json = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    assets: dict[str, dict[str, AssetContainer]] = field(default_factory=dict)
    datastores: dict[str, Datastore] = field(default_factory=dict)
    default_datastore: str = "workspaceblobstore"
    computes: dict[str, Compute] = field(default_factory=dict)
    on_change: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    looked_up: set[str] = field(default_factory=set, repr=False, compare=False)
    removed: set[str] = field(default_factory=set, repr=False, compare=False)
    _by_tag: dict[str, dict[str, Job]] = field(default_factory=dict, repr=False)

    def add(self, job: Job) -> None:
        """Take in a new job."""
        self.jobs[job.name.lower()] = job
        job.on_change = None if self.on_change is None else self.note
        self.note_tags(job)

    def remove(self, job: Job) -> None:
        """Remove a job."""
        self.jobs.pop(job.name.lower(), None)
        for jobs in self._by_tag.values():
            jobs.pop(job.name, None)
        if self.on_change is not None:
            self.removed.add(job.name)
            self.on_change()

    def note(self, job: Job) -> None:
        """Note that a job has changed."""
        if self.on_change is not None:
            self.looked_up.add(job.name.lower())
            self.on_change()

    def note_tags(self, job: Job) -> None:
        """Add the tags of a job to the index; tags are never removed."""
        for tag in job.properties["tags"]:
            self._by_tag.setdefault(tag, {})[job.name] = job
        self.note(job)

    def newest_jobs(self, tag: str | None) -> list[Job]:
        """Return the jobs, or those with a tag, the newest first."""
        jobs = self.jobs if tag is None else self._by_tag.get(tag, {})
        return sorted(jobs.values(), key=attrgetter("number"), reverse=True)

    def clear(self) -> None:
        """Delete all resources of the workspace."""
        if self.on_change is not None:
            self.removed.update(job.name for job in self.jobs.values())
        for made in (self.jobs, self.assets, self.datastores, self.computes, self.user_assigned, self._by_tag):
            made.clear()
        self.default_datastore = "workspaceblobstore"
        self.container_registry = self.primary_identity = None

    def assets_of(self, kind: str) -> dict[str, AssetContainer]:
        """Return the assets of a kind by name, which can be changed.

        Args:
            kind: As in their ids: `environments`, `data`, `models`, `codes` or `components`.
        """
        return self.assets.setdefault(kind, {})

    @property
    def environments(self) -> dict[str, AssetContainer]:
        """The environments by name."""
        return self.assets_of("environments")

    @property
    def plain_name(self) -> str:
        """Its name without what names of other resources cannot have."""
        return self.name.replace("-", "").replace("_", "").lower()

    @property
    def vault_name(self) -> str:
        """The name of its key vault."""
        return f"{self.plain_name[:19]}vault"

    @property
    def path(self) -> str:
        """The ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/{PROVIDER}/workspaces/{self.name}"
        )

    def find_job(self, name: str) -> Job | None:
        """Return the job of that name in any case, or None."""
        job = self.jobs.get(name.lower())
        if job is not None and self.on_change is not None:
            self.looked_up.add(name.lower())
        return job

    def find_compute(self, name: str) -> Compute | None:
        """Return the compute of that name in any case, or None."""
        for compute in self.computes.values():
            if compute.name.lower() == name.lower():
                return compute
        return None


@dataclass
class Store:
    """State of the emulator. As in ARM, look-ups of ids ignore case.

    Attributes:
        diagnoses: Requested parts of checks of workspaces, by the id of the operation.
        registries: Container registries as the service answers them, by ARM id in lower case.
        role_assignments: Roles of all principals.
        vaults: Key vaults: each workspace's own, and others.
    """

    workspaces: list[Workspace] = field(default_factory=list)
    vaults: list[Vault] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    diagnoses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    registries: dict[str, Json] = field(default_factory=dict)
    role_assignments: list[RoleAssignment] = field(default_factory=list)

    def make_owner(self, principal_id: str) -> None:
        """Make one principal Owner of every subscription, and remove all other role assignments."""
        owner = role_named("Owner")
        assert owner is not None  # noqa: S101 - it is built in
        scopes = dict.fromkeys(f"/subscriptions/{workspace.subscription_id}" for workspace in self.workspaces)
        self.role_assignments[:] = [
            RoleAssignment(str(uuid.uuid5(uuid.NAMESPACE_URL, scope)), scope, principal_id, owner) for scope in scopes
        ]

    def add(self, workspace: Workspace, vault: Vault, owner: str) -> None:
        """Take in a workspace with its key vault.

        Args:
            workspace: The workspace.
            vault: Its key vault.
            owner: Object id of the principal that becomes Owner of its subscription, if that is new here.
        """
        subscription = workspace.subscription_id.lower()
        is_new = all(other.subscription_id.lower() != subscription for other in self.workspaces)
        self.workspaces.append(workspace)
        self.vaults.append(vault)
        role = role_named("Owner")
        if is_new and role is not None:
            scope = f"/subscriptions/{workspace.subscription_id}"
            self.role_assignments.append(RoleAssignment(str(uuid.uuid5(uuid.NAMESPACE_URL, scope)), scope, owner, role))

    def forget(self, workspace: Workspace) -> None:
        """Remove a workspace with its key vault, its container registry, and the roles in them."""
        self.workspaces.remove(workspace)
        vaults = [vault for vault in self.vaults if _is_of(vault, workspace)]
        self.vaults[:] = [vault for vault in self.vaults if vault not in vaults]
        gone = [workspace.path, *(vault.path for vault in vaults)]
        if workspace.container_registry is not None:
            self.registries.pop(workspace.container_registry.lower(), None)
            gone.append(workspace.container_registry)
        self.role_assignments[:] = [
            each
            for each in self.role_assignments
            if not any(f"{each.scope.lower()}/".startswith(f"{path.lower()}/") for path in gone)
        ]

    def find_workspace(self, subscription_id: str, resource_group: str, name: str) -> Workspace | None:
        """Return the workspace of that ARM id, or None."""
        wanted = (subscription_id.lower(), resource_group.lower(), name.lower())
        for workspace in self.workspaces:
            mine = (workspace.subscription_id, workspace.resource_group, workspace.name)
            if tuple(part.lower() for part in mine) == wanted:
                return workspace
        return None


def _is_of(vault: Vault, workspace: Workspace) -> bool:
    wanted = (workspace.subscription_id, workspace.resource_group, workspace.vault_name)
    return (vault.subscription_id, vault.resource_group, vault.name) == wanted
