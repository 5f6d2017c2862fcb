"""What a step asks of Azure ML: plain data between ZenML's settings and the Azure SDK.

Imports neither side, so that the one can be tested without the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True)
class JobIdentity:
    """Whom a job acts as.

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
        name: As the user calls it.
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
        include_dashboard: Whether there is a dashboard (`ray`).
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
        """Processes on each node, those of one node numbered one after the other; None where that is not so."""
        return (self.process_count_per_instance or 1) if self.type in ("pytorch", "mpi") else None


@dataclass(frozen=True)
class JobOptions:
    """What a job is asked to be; None leaves a thing to Azure, or to the step operator where that names it.

    Attributes:
        display_name: What Studio shows as its name.
        description: What Studio shows as its description.
        tags: The user's own.
        experiment: Its experiment.
        timeout: How long it may run.
        shm_size: Shared memory of the container in Docker's notation, e.g. `2g`.
        docker_args: Further arguments of `docker run`. May hold secrets, hence not in the `repr`.
        docker_variables: Environment variables that were among them; all others of the job count before them.
        environment_variables: The user's own. May hold secrets, hence not in the `repr`.
        secret_variables: Names of those, of both kinds, whose values come from secrets of ZenML.
        identity: Whom it acts as.
        services: What runs beside it.
        instance_type: VM size of serverless compute.
        instance_count: Number of nodes.
        distribution: Its processes on them; None for one.
        job_tier: `spot`, `basic`, `standard` or `premium` serverless capacity.
        priority: `low`, `medium` or `high` among waiting serverless jobs.
        locations: Regions that serverless compute may be in.
        checkpoints: Whether it has a folder that outlives it.
        secrets_via: How the values of secrets travel: `auto`, `key-vault` or `environment`.
        key_vault: Name, URL or ARM id of the key vault for that; None for the workspace's own.
        stop_check_seconds: Average seconds between two checks of the job for whether its step is over; 0 for none.
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
    checkpoints: bool = False
    secrets_via: Literal["auto", "key-vault", "environment"] = "auto"
    key_vault: str | None = None
    stop_check_seconds: float = 0

    @property
    def processes_per_node(self) -> int | None:
        """As that of its distribution."""
        return self.distribution.processes_per_node if self.distribution else None

    @property
    def has_ranks(self) -> bool:
        """Whether several processes may run the command. Ray's head node runs it alone, and gives the others work."""
        if self.distribution is not None:
            return self.distribution.type != "ray"
        return (self.instance_count or 1) > 1


@dataclass(frozen=True)
class JobSpec:
    """Everything about one job that is known before it is submitted.

    Attributes:
        name: Name of the job: a function of the step run, so that submitting twice gives one job.
        display_name: What Studio shows, unless the options say otherwise.
        experiment: Experiment the job belongs to, unless the options say otherwise.
        image: Docker image it runs.
        command: Shell command it runs.
        environment_variables: For the command. May hold secrets, hence not in the `repr`.
        tags: Shown in Studio; how the job is found again.
        options: Everything else.
        checkpoints: Where in the workspace's storage its checkpoint folder is, as an `azureml://` URI; None for none.
        price_tag: Key of the tag for what the job costs in US dollars per hour; None for no such tag.
        own_tag: Key of the tag that tells whose job it is: a job of that name with another value is somebody else's.
        secret_names: Names of the environment variables whose values may be secret.
        certain_secret_names: Those of them that are secrets for certain.
        secret_tags: How what it has in a key vault is found again.
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
