"""Cleanup of processes and containers that jobs of an emulator may have left running."""

from __future__ import annotations

from pathlib import Path

from zenml_azureml.emulator.runtimes.docker.marker import ENGINE_MARK
from zenml_azureml.emulator.runtimes.process.tree import end_processes


def end_leftovers(state: Path) -> None:
    """Stop everything that jobs have left running.

    Args:
        state: State folder of the emulator, which does not run any more; absolute, without symbolic links.

    Raises:
        EngineError: If containers may be left and their Docker engine does not answer.
    """
    end_processes(state / "jobs", grace=0)
    mark = state / ENGINE_MARK
    if mark.exists():
        from zenml_azureml.emulator.runtimes.docker.engine import DockerEngine

        DockerEngine(state, mark.read_text()).remove_all()
