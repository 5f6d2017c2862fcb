"""Specs of jobs: plain data between ZenML's settings and the Azure SDK.

Imports neither side, so that each can be tested without the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from zenml_azureml.specs.data import DataInput, DataOutput


@dataclass(frozen=True)
class JobIdentity:
    """The identity that a job runs as.

    Attributes:
        kind: `managed`, `user` or `aml_token`.
        client_id: Of a user-assigned managed identity; None for the compute's own.
    """

    kind: str
    client_id: str | None = None


@dataclass(frozen=True)
class JobService:
    """A service that runs beside a job.

    Attributes:
        name: The user's name for it.
        type: `ssh`, `jupyter_lab`, `tensor_board` or `vs_code`.
        ssh_public_keys: For `ssh`: the keys that may log in.
        log_dir: For `tensor_board`: the folder to show.
        port: Port in the container; None leaves it to Azure.
        nodes: `all`, or None for the first.
    """

    name: str
    type: str
    ssh_public_keys: str | None = None
    log_dir: str | None = None
    port: int | None = None
    nodes: str | None = None


@dataclass(frozen=True)
class JobDistribution:
    """The processes of a job on all of its nodes.

    Attributes:
        type: `pytorch`, `mpi`, `tensorflow` or `ray`.
        process_count_per_instance: Processes on each node (`pytorch`, `mpi`); None for 1.
        worker_count: Workers (`tensorflow`); None for one per node.
        parameter_server_count: Parameter servers (`tensorflow`); None for none.
        port: Of the head process (`ray`).
        address: Of the head node (`ray`).
        include_dashboard: True for a dashboard (`ray`).
        dashboard_port: Of the dashboard (`ray`).
        head_node_additional_args: Of `ray start` on the head node.
        worker_node_additional_args: Of `ray start` on the other nodes.
    """

    type: str
    process_count_per_instance: int | None = None
    worker_count: int | None = None
    parameter_server_count: int | None = None
    port: int | None = None
    address: str | None = None
    include_dashboard: bool | None = None
    dashboard_port: int | None = None
    head_node_additional_args: str | None = None
    worker_node_additional_args: str | None = None

    @property
    def processes_per_node(self) -> int | None:
        """Processes on each node, if the processes of a node have consecutive numbers; otherwise None."""
        return (self.process_count_per_instance or 1) if self.type in ("pytorch", "mpi") else None


@dataclass(frozen=True)
class JobOptions:
    """Options of a job; None leaves a value to Azure, or to the step operator if that has one.

    Attributes:
        display_name: Its name in Studio.
        description: Its description in Studio.
        tags: The user's own.
        experiment: Its experiment.
        timeout: Longest time for which it may run.
        shm_size: Shared memory of the container in Docker's notation, e.g. `2g`.
        docker_args: Further arguments of `docker run`. May hold secrets, hence not in the `repr`.
        docker_variables: Environment variables that were among them; all others of the job take precedence.
        environment_variables: The user's own. May hold secrets, hence not in the `repr`.
        secret_variables: Names of those, of both kinds, whose values come from secrets of ZenML.
        identity: The identity that it runs as.
        services: Services that run beside it.
        instance_type: VM size of serverless compute.
        instance_count: Number of nodes.
        distribution: Its processes on them; None for one.
        job_tier: `spot`, `basic`, `standard` or `premium` serverless capacity.
        priority: `low`, `medium` or `high` among waiting serverless jobs.
        locations: Regions that serverless compute may be in.
        inputs: Data on Azure that it reads.
        outputs: Data on Azure that it writes.
        checkpoints: True for a folder that outlives it.
        secrets_via: The way to deliver the values of secrets: `auto`, `key-vault` or `environment`.
        key_vault: Name, URL or ARM id of the key vault for that; None for the workspace's own.
        hold: Time for which it keeps its container after a failure of its step's function; zero for no hold.
        stop_check_seconds: Average seconds between two checks of the job for whether its step is over; 0 for none.
        sampling: True to sample the use of its nodes.
    """

    display_name: str | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    experiment: str | None = None
    timeout: timedelta | None = None
    shm_size: str | None = None
    docker_args: str | None = field(default=None, repr=False)
    docker_variables: dict[str, str] = field(default_factory=dict, repr=False)
    environment_variables: dict[str, str] = field(default_factory=dict, repr=False)
    secret_variables: frozenset[str] = frozenset()
    identity: JobIdentity | None = None
    services: tuple[JobService, ...] = ()
    instance_type: str | None = None
    instance_count: int | None = None
    distribution: JobDistribution | None = None
    job_tier: str | None = None
    priority: str | None = None
    locations: tuple[str, ...] = ()
    inputs: tuple[DataInput, ...] = ()
    outputs: tuple[DataOutput, ...] = ()
    checkpoints: bool = False
    secrets_via: Literal["auto", "key-vault", "environment"] = "auto"
    key_vault: str | None = None
    hold: timedelta = timedelta()
    stop_check_seconds: float = 0
    sampling: bool = False

    @property
    def processes_per_node(self) -> int | None:
        """Processes on each node; see `JobDistribution.processes_per_node`."""
        return self.distribution.processes_per_node if self.distribution else None

    @property
    def has_ranks(self) -> bool:
        """True if several processes may run the command. Ray's head node runs it alone, and gives the others work."""
        if self.distribution is not None:
            return self.distribution.type != "ray"
        return (self.instance_count or 1) > 1


@dataclass(frozen=True)
class JobSpec:
    """The spec of one job, before it is submitted.

    Attributes:
        name: Name of the job: a function of the step run, so that two submits give one job.
        display_name: Its name in Studio, unless the options have one.
        experiment: Its experiment, unless the options have one.
        image: Docker image it runs.
        command: Shell command it runs.
        environment_variables: For the command. May hold secrets, hence not in the `repr`.
        tags: Shown in Studio; the job is found by them.
        options: Everything else.
        checkpoints: Its checkpoint folder in the workspace's storage, as an `azureml://` URI; None for none.
        price_tag: Key of the tag for its price in US dollars per hour; None for no such tag.
        own_tag: Key of the tag that identifies its owner: a job of that name with another value belongs to another one.
        secret_names: Names of the environment variables whose values may be secret.
        certain_secret_names: Those of them that are secrets for certain.
        secret_tags: Tags of its secret in a key vault, by which that is found.
    """

    name: str
    display_name: str
    experiment: str
    image: str
    command: str
    environment_variables: dict[str, str] = field(repr=False)
    tags: dict[str, str]
    options: JobOptions = field(default_factory=JobOptions)
    checkpoints: str | None = None
    price_tag: str | None = None
    own_tag: str = field(kw_only=True)
    secret_names: frozenset[str] = frozenset()
    certain_secret_names: frozenset[str] = frozenset()
    secret_tags: dict[str, str] = field(default_factory=dict)
