"""What a workspace holds: jobs, assets, datastores, computes and operations on them.

They live on the event loop's one thread, as their workspace does (`state.py`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from zenml_azureml.emulator.types import Json

if TYPE_CHECKING:
    from zenml_azureml.emulator.runtimes.base import RunningJob
    from zenml_azureml.emulator.scenarios.rules import ScenarioRule

#: Job states after which nothing changes any more.
TERMINAL_STATES = frozenset({"Completed", "Failed", "Canceled"})


@dataclass
class Job:
    """A command job.

    Attributes:
        name: As given in the URL of its PUT.
        properties: `properties` as the service answers them, without `status`.
        created_at: Time at which the PUT was accepted.
        status: One of the states of the Azure ML SDK's `JobStatus`.
        folder: Folder for everything that the job writes.
        started_at: Time at which its command started.
        ended_at: Time at which it reached a terminal state.
        error: A failure in run history: `{"code", "message"}` and maybe `"component"`; ARM never shows it.
        attempt: Number of its current attempt, from 1 on.
        cancel_requested: Set by a cancel; the lifecycle waits on it.
        struck_by: Scenario to apply to it while it runs; removed after that.
        struck: Set by that; the lifecycle waits on it.
        running: Its running command; None if none is running.
        log_files: Time when each of its log files was first seen, by path and inode: a file that replaces another is
            a new one.
        number: Number of the job, in the order of creation.
        output_assets: Kind, name and version of the assets that its outputs have become, by the names of the outputs.
        machine_secret: Secret with which the job gets tokens of its managed identity, until it ends.
        mlflow_run: Id of its run on the MLflow server; None if the server does not know it.
        logged_models: Ids of models of MLflow 3 among its artifacts, by their names, which are their paths there.
        owner: Object id of the principal that submitted it; empty if that is not known any more.
        visits: Shells that users have opened in it; they end with its command.
        on_change: Called with the job when it has changed; None if its state does not last.
    """

    name: str
    properties: Json
    created_at: datetime
    folder: Path
    status: str = "Starting"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Json | None = None
    attempt: int = 1
    cancel_requested: asyncio.Event = field(default_factory=asyncio.Event)
    struck_by: ScenarioRule | None = None
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    running: RunningJob | None = None
    log_files: dict[tuple[Path, int], datetime] = field(default_factory=dict)
    number: int = field(default_factory=count().__next__)
    output_assets: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    machine_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    mlflow_run: str | None = None
    logged_models: dict[str, str] = field(default_factory=dict)
    owner: str = ""
    visits: set[asyncio.Task[None]] = field(default_factory=set, repr=False, compare=False)
    on_change: Callable[[Job], None] | None = field(default=None, repr=False, compare=False)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; changes that others do not note are noted here."""
        object.__setattr__(self, name, value)
        if name in ("status", "mlflow_run", "logged_models") and (note := self.__dict__.get("on_change")) is not None:
            note(self)

    @property
    def is_terminal(self) -> bool:
        """True if the job has ended."""
        return self.status in TERMINAL_STATES

    @property
    def log_folder(self) -> Path:
        """Folder of `std_log.txt`."""
        return self.folder / "user_logs"


@dataclass
class AssetVersion:
    """One version of an asset: of an environment, data, a model, code or a component.

    Attributes:
        name: Name of the asset.
        version: The version.
        properties: Its properties as the service answers them.
        created_at: Time of its creation.
        modified_at: Time of its last change.
    """

    name: str
    version: str
    properties: Json
    created_at: datetime
    modified_at: datetime


@dataclass
class AssetContainer:
    """An asset with its versions.

    Attributes:
        name: Its name in the workspace.
        created_at: Time of its creation.
        versions: Its versions, the oldest first.
        description: Its description.
        tags: Its tags; None if not set.
        properties: Its properties; None if not set.
        is_archived: True if it is archived.
    """

    name: str
    created_at: datetime
    versions: dict[str, AssetVersion] = field(default_factory=dict)
    description: str | None = None
    tags: Json | None = None
    properties: Json | None = None
    is_archived: bool = False

    @property
    def latest(self) -> AssetVersion | None:
        """Its newest version; None if it has none."""
        return next(reversed(self.versions.values()), None)


@dataclass
class Datastore:
    """A datastore that a user has made.

    Attributes:
        name: Its name in the workspace.
        properties: Its properties as the service answers them.
        secrets: Its secrets as they were sent.
        created_at: Time of its creation.
        modified_at: Time of its last change.
    """

    name: str
    properties: Json
    created_at: datetime
    modified_at: datetime
    secrets: Json | None = field(default=None, repr=False)


@dataclass
class Compute:
    """A compute instance, a compute cluster (`AmlCompute`) or an attached Kubernetes cluster.

    Attributes:
        name: Its name in the workspace.
        body: Resource body as the service answers it: `location`, `tags`, `properties` and so on.
        busy_nodes: Nodes that run a job now, by job name.
        queue: Names of the jobs that wait for nodes, the longest waiting first.
        requested: Body of the PUT that creates it; None once it is created.
        turns: Set for a job that waits for nodes when it is to look for them.
    """

    name: str
    body: Json
    busy_nodes: dict[str, int] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    requested: Json | None = None
    turns: dict[str, asyncio.Event] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """`ComputeInstance`, `AmlCompute` or `Kubernetes`."""
        return str(self.body["properties"]["computeType"])

    @property
    def provisioning_state(self) -> str:
        """`Creating`, `Updating`, `Deleting`, `Succeeded` or `Failed`."""
        return str(self.body["properties"]["provisioningState"])

    @property
    def inner(self) -> Json:
        """The kind's own properties: size, state, scale settings."""
        inner: Json = self.body["properties"]["properties"]
        return inner


@dataclass
class Operation:
    """A long-running operation on a compute: the SDK polls it until its status is terminal."""

    id: str
    status: str = "InProgress"
    error: Json | None = None
