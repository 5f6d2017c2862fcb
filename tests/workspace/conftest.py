"""A workspace to prepare computes in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import credential_of, point_clients_at
from tests.workspace.compute_world import World
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated import SimulatedRuntime


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An emulated workspace whose time stands still unless somebody waits; computes need none at first."""
    clock = ManualClock()
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield World(emulator, clock, credential_of(emulator))
