"""Jobs whose Python need not import ZenML: it is forked from one that has, as the processes of `warm.py` are.

A job takes 7 seconds of processor time to import ZenML, its SQL store and the integrations, and 1 for a short step.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from tests.e2e.warm_home import warm_python
from tests.e2e.warm_job import early_variables
from zenml_azureml.emulator.runtimes.base import JobLaunch, RunningJob
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

#: The one module that is run in a fork; everything else is run by the Python itself.
_ENTRYPOINT = "zenml.entrypoints.entrypoint"

_PROGRAM = """#!/bin/sh
if [ "$1 $2" = "-m {entrypoint}" ]; then
    exec {python} -I -S {launcher} {folder} "$@"
fi
exec {python} "$@"
"""


class WarmJobs:
    """A `ProcessRuntime` for jobs in this environment's Python.

    Args:
        image: Makes of the program that stands for Python the one that an image has.
    """

    def __init__(self, image: Callable[[Path], Path] = lambda python: python) -> None:
        self._image = image
        self._runtimes: dict[Path, ProcessRuntime] = {}

    async def start(self, launch: JobLaunch) -> RunningJob:
        """Start a job."""
        python = _warm_job_python(frozenset(early_variables(launch.environment).items()))
        if python not in self._runtimes:
            self._runtimes[python] = ProcessRuntime(default_interpreter=self._image(python))
        return await self._runtimes[python].start(launch)

    async def close(self) -> None:
        """End every job that still runs."""
        await asyncio.gather(*(runtime.close() for runtime in self._runtimes.values()))

    def may_own_socket(self, inode: int) -> bool:
        """True if one of the jobs' processes has the socket."""
        return any(runtime.may_own_socket(inode) for runtime in self._runtimes.values())


@lru_cache
def _warm_job_python(variables: frozenset[tuple[str, str]]) -> Path:
    """A program that stands for Python, in a job with these early variables."""
    folder = warm_python("tests.e2e.warm_job_server", {**dict(variables), "LANG": "C.UTF-8"})
    program = folder / "bin" / "python"
    with FileLock(str(folder / "bin.lock")):
        if not program.exists():
            _make_programs(folder, dict(variables))
    return program


def _make_programs(folder: Path, variables: dict[str, str]) -> None:
    (folder / "warm.json").write_text(json.dumps({"variables": variables, "python": sys.executable}))
    programs = folder / "bin"
    programs.mkdir()
    for program in Path(sys.executable).parent.iterdir():
        if not program.name.startswith("python"):
            (programs / program.name).symlink_to(program)
    python = programs / "python"
    launcher = Path(__file__).with_name("warm_job.py")
    python.write_text(_PROGRAM.format(entrypoint=_ENTRYPOINT, python=sys.executable, launcher=launcher, folder=folder))
    python.chmod(0o755)
