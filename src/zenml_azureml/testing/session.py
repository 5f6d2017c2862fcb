"""The emulator of a test session, in a folder that is deleted at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.base import Runtime


@contextmanager
def emulator_of(runtime: str) -> Iterator[Emulator]:
    """Serve an emulator in a thread; its files are gone afterwards.

    Args:
        runtime: How it runs jobs: `process`, `docker` or `simulated`.
    """
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    clock = SystemClock()
    # Not a folder of pytest's, which keeps those of the last three sessions: it holds keys.
    with TemporaryDirectory(prefix="azureml-emulator-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        made = _runtime(runtime, folder, clock, settings)
        with Emulator(folder, runtime=made, clock=clock, settings=settings) as emulator:
            yield emulator


def _runtime(name: str, folder: Path, clock: SystemClock, settings: Settings) -> Runtime | None:
    """Return the runtime of that name; None for the emulator's own, processes."""
    if name == "simulated":
        from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

        return SimulatedRuntime(clock, settings)
    if name == "docker":
        from zenml_azureml.emulator.runtimes.docker.runtime import DockerRuntime

        return DockerRuntime(folder)
    return None
