"""Our side of a hostile server, and what it does there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError

from tests.azure.hostile_server import WORKSPACE, Behaviour, HostileServer
from zenml_azureml.azure.arm.inspector import Inspector
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.compute.provisioner import ensure_compute
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.jobs.listing import find_job, list_jobs
from zenml_azureml.azure.jobs.poller import get_status_of_one, list_statuses
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.keyvault.client import VaultSecrets
from zenml_azureml.azure.logs.streamer import LogFollower
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster
from zenml_azureml.specs.job import JobSpec

TOKEN = jwt.encode({"tid": "00000000-0000-0000-0000-000000000003"}, "k" * 32)


@dataclass
class Credential:
    """Has a token at once.

    Attributes:
        scopes: The scopes that were requested.
    """

    scopes: set[str] = field(default_factory=set)

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes |= set(scopes)
        return AccessToken(TOKEN, 4_000_000_000)


@dataclass
class Client:
    """Our side, on a server that may do as it likes.

    Attributes:
        server: The server.
        elsewhere: Another host, which must never hear of us.
        slept: Seconds of each pause.
        credential: Our credential.
    """

    server: HostileServer
    elsewhere: HostileServer
    slept: list[float] = field(default_factory=list)
    credential: Credential = field(default_factory=Credential)

    def __post_init__(self) -> None:
        # Of the time that answers take, each read of the wire is a second.
        seconds = itertools.count()
        transport = WorkspaceTransport(sleeper=self.slept.append, clock=lambda: float(next(seconds)))
        self.connection = WorkspaceConnection(self.server.address, lambda: self.credential, transport)

    def stop_clock(self) -> None:
        """Have no answer take any time."""
        transport = self.connection.transport
        assert isinstance(transport, WorkspaceTransport)
        transport._clock = lambda: 0.0

    def when(self, path: str, behaviour: Behaviour) -> None:
        """Have the server do something at a path."""
        self.server.behaviours[path] = behaviour

    def error_of(self, action: Callable[[Client], object]) -> AzureMLError:
        """What a user is shown."""
        with pytest.raises((AzureError, AzureMLError)) as raised:
            action(self)
        error = raised.value
        if isinstance(error, AzureMLError):
            return error
        assert isinstance(error, AzureError)
        return to_azureml_error("ask", error, self.server.address)

    def said(self, error: AzureMLError) -> str:
        """What it says went wrong, without what is different in each run."""
        shown = error.azure_message or error.summary
        return shown.replace(self.server.url, "HOST").replace(self.elsewhere.url, "ELSEWHERE").replace(WORKSPACE, "/W")


def find(client: Client) -> object:
    return find_job(client.connection, "job-1")


def list_all(client: Client) -> object:
    return list(list_jobs(client.connection, "tag"))


def look(client: Client) -> object:
    return get_status_of_one(client.connection, "job-1")


def look_at_all(client: Client) -> object:
    return list_statuses(client.connection, "tag", ["job-1", "job-2", "job-3"], lambda _job: None)


def read_log(client: Client) -> list[str]:
    follower = LogFollower(client.connection, "job-1")
    return follower.read_rest()[0]


def submit(client: Client) -> object:
    request = JobSpec("job-1", "shown", "pool", "ubuntu", "echo", {}, {}, own_tag="")
    return JobSubmitter(client.connection).submit(request, ANYWHERE)


def permissions(client: Client) -> object:
    return Inspector(client.connection).permissions()


def computes(client: Client) -> object:
    return Inspector(client.connection).computes()


def sizes(client: Client) -> object:
    return Inspector(client.connection).sizes("westeurope")


def create_compute(client: Client) -> object:
    return ensure_compute(client.connection, ComputeCluster(name="cpu", size="Standard_DS2_v2", location="westeurope"))


def list_secrets(client: Client) -> object:
    return list(VaultSecrets(client.connection, client.server.url).items())
