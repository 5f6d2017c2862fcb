"""A workspace to prepare computes in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.azure.compute_world import World
from tests.azure.hostile_client import Client
from tests.azure.hostile_server import HostileServer, serve
from tests.conftest import credential_of, point_clients_at
from tests.contract.waiting import eventually
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.sizes import catalogue
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.http.bounds import LONGEST_SECONDS
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.specs.job import JobSpec


@pytest.fixture(autouse=True)
def _unknown_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no sizes of another test's emulator, which may have had the same port."""
    monkeypatch.setattr(catalogue, "_regions", {})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An emulated workspace whose time stands still unless somebody waits; computes need none at first."""
    clock = ManualClock()
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield World(emulator, clock, credential_of(emulator))


@pytest.fixture
def job(world: World) -> Job:
    """A job of that workspace that runs for a year, and whose log the test writes."""
    settings = world.emulator.context.settings
    settings.simulated_seconds = settings.token_lifetime = LONGEST_SECONDS
    settings.simulated_lines = 0
    request = JobSpec("job", "job", "tests", "image", "true", environment_variables={}, tags={}, own_tag="")
    JobSubmitter(world.connection).submit(request, ANYWHERE)
    (job,) = world.emulator.context.store.workspaces[0].jobs.values()
    eventually(lambda: job.status == "Running")
    for file in job.log_folder.iterdir():
        file.unlink()
    world.sent.clear()
    return job


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HostileServer, HostileServer, Path]]:
    ca = trustme.CA()
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    bundle.write_bytes(ca.cert_pem.bytes())
    with serve(ca) as server, serve(ca) as elsewhere:
        yield server, elsewhere, bundle


@pytest.fixture
def client(servers: tuple[HostileServer, HostileServer, Path], monkeypatch: pytest.MonkeyPatch) -> Client:
    server, elsewhere, bundle = servers
    for one in (server, elsewhere):
        one.behaviours.clear()
        one.requests.clear()
        one.tokens.clear()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", server.url)
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")
    return Client(server, elsewhere)
