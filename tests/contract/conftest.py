"""Emulators for comparing answers with recorded ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.ai.ml import MLClient

from tests.conftest import credential_of, ml_client_of, point_clients_at
from tests.contract.arm import Arm
from tests.live.arm import LiveArm, chosen_target
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

#: The workspace of the recordings, whose names were masked before they were published.
MASKED = WorkspaceName("00000000-0000-0000-0000-000000000", "00000", "00000", "eastus")


@pytest.fixture
def arm(request: pytest.FixtureRequest) -> Arm:
    """The emulator; or Azure, for a test that `make live` runs."""
    target = chosen_target(request)
    return Arm(request.getfixturevalue("emulator")) if target is None else LiveArm(target)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def slow(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator whose time only passes when the test says so."""
    settings = Settings(compute_provisioning=60, job_preparation=60, job_finalization=10)
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path / "slow", runtime=runtime, clock=clock, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield emulator


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator for all tests of a module, with processes; each test has jobs of its own."""
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0, rate_limits=False)
    folder = tmp_path_factory.mktemp("bench")
    with Emulator(folder / "emulator", runtime=ProcessRuntime(grace=0.1), settings=settings) as emulator:
        yield emulator


@pytest.fixture
def client(bench: Emulator, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    """The real SDK on it."""
    point_clients_at(bench, monkeypatch)
    return ml_client_of(bench, credential_of(bench))


@pytest.fixture
def streaming(slow: Emulator, clock: ManualClock) -> MLClient:
    """The real SDK with jobs that end once it has seen them run: it streams no log of a job that is over before."""
    seen: list[str] = []
    moving: list[asyncio.Task[None]] = []

    def note(_method: str, path: str, _body: bytes) -> None:
        if path.partition("?")[0].endswith("/details"):
            seen.append(path)
            if len(seen) > 1 and not moving:
                moving.append(asyncio.get_running_loop().create_task(clock.advance(600)))

    slow.context.on_request = note
    return ml_client_of(slow, credential_of(slow))


@pytest.fixture
def masked(tmp_path: Path) -> Iterator[Arm]:
    """An emulator with the workspace of the recordings, and the computes that they name."""
    settings = Settings(compute_provisioning=0, job_preparation=3600)
    clock = ManualClock()
    runtime = SimulatedRuntime(clock, settings)
    folder = tmp_path / "masked"
    with Emulator(folder, workspaces=[MASKED], runtime=runtime, clock=clock, settings=settings) as emulator:
        arm = Arm(emulator)
        for name in ("testCompute", "DataFactory"):
            cluster = {"vmSize": "STANDARD_DS2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}}
            body = {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": cluster}}
            assert arm.call("PUT", f"computes/{name}", body, api_version="2023-04-01").status == 201
        yield arm
