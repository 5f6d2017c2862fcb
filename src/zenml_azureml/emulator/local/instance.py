"""An emulator as its state folder describes it, and how it was asked to start."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from zenml_azureml.emulator.local.address import LOOPBACK
from zenml_azureml.emulator.state import WorkspaceName

RuntimeName = Literal["process", "docker", "simulated"]


class DaemonError(Exception):
    """An emulator could not be started or stopped; the message says why."""


@dataclass(frozen=True)
class Options:
    """Options for starting an emulator.

    Attributes:
        port: Port of the emulator; 0 for a free one.
        listen: IP address that it listens on.
        advertise: URL at which clients reach it; None for where it listens.
        proxy: True to start a proxy for Azure's public hosts: on the next port, or on a free one if `port` is 0.
        runtime: Runtime of the jobs: processes of this machine, containers of its Docker engine, or a simulation.
        interpreters: By image: the Python that stands for it.
        default_interpreter: The Python of every other image; by default the emulator's own.
        docker_network: Network of all containers; None for what each job says.
        subscription_id: Of the one workspace.
        resource_group: Of the one workspace.
        workspace_name: Of the one workspace.
        location: Of the one workspace.
        cloud: Name of the cloud that it shows.
        fresh: True to begin without the jobs, assets and outputs of the one before.
    """

    port: int = 0
    proxy: bool = False
    runtime: RuntimeName = "process"
    interpreters: Mapping[str, str] = field(default_factory=dict)
    default_interpreter: str = sys.executable
    docker_network: str | None = None
    subscription_id: str = WorkspaceName.subscription_id
    resource_group: str = WorkspaceName.resource_group
    workspace_name: str = WorkspaceName.name
    location: str = WorkspaceName.location
    cloud: str = "AzureCloud"
    listen: str = LOOPBACK
    advertise: str | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Running:
    """An emulator that runs, as it describes itself in its state folder. No secret is in it.

    Attributes:
        state: The state folder.
        pid: Its process.
        base_url: `https://127.0.0.1:PORT`, or the URL that it advertises.
        proxy_url: `http://127.0.0.1:PORT` of its proxy; None if it has none.
        started_at: Start of its service: ISO 8601, UTC.
        ca_file: The certificate of its CA.
        ca_bundle: certifi's certificates and that one.
        tenant_id: Of the app registration that it knows.
        client_id: Of the same.
        federated_token_file: File with the app's assertion (workload identity).
        options: Options of its start.
        local_url: The URL for programs of this machine.
    """

    state: Path
    pid: int
    base_url: str
    proxy_url: str | None
    started_at: str
    ca_file: Path
    ca_bundle: Path
    tenant_id: str
    client_id: str
    federated_token_file: Path
    options: Options
    local_url: str
