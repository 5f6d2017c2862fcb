"""Jobs whose Python need not import ZenML: it is forked from one that has, as the processes of `warm.py` are.

A job takes 7 seconds of processor time to import ZenML, its SQL store and the integrations, and 1 for a short step.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from tests.e2e.warm import ROOT
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
    """A `ProcessRuntime` for jobs in this environment's Python."""

    def __init__(self) -> None:
        self._runtimes: dict[Path, ProcessRuntime] = {}

    async def start(self, launch: JobLaunch) -> RunningJob:
        """Start a job."""
        python = _warm_python(frozenset(early_variables(launch.environment).items()))
        runtime = self._runtimes.setdefault(python, ProcessRuntime(default_interpreter=python))
        return await runtime.start(launch)

    async def close(self) -> None:
        """End every job that still runs."""
        await asyncio.gather(*(runtime.close() for runtime in self._runtimes.values()))

    def may_own_socket(self, inode: int) -> bool:
        """True if one of the jobs' processes has the socket."""
        return any(runtime.may_own_socket(inode) for runtime in self._runtimes.values())


@lru_cache
def _warm_python(variables: frozenset[tuple[str, str]]) -> Path:
    """A program that stands for Python; the warm one behind it ends with this process.

    It is not waited for: jobs are, which connect to it.
    """
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "warm.json").write_text(json.dumps({"variables": dict(variables), "python": sys.executable}))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen()
        environment = {
            **dict(variables),
            "PATH": os.defpath,
            "HOME": os.devnull,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "WARM_JOB_SOCKET": str(listening.fileno()),
        }
        server = subprocess.Popen(
            [sys.executable, "-c", "from tests.e2e.warm_job_server import main; main()"],
            stdin=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    _servers.append(server)
    programs = folder / "bin"
    programs.mkdir()
    for program in Path(sys.executable).parent.iterdir():
        if not program.name.startswith("python"):
            (programs / program.name).symlink_to(program)
    python = programs / "python"
    launcher = Path(__file__).with_name("warm_job.py")
    python.write_text(_PROGRAM.format(entrypoint=_ENTRYPOINT, python=sys.executable, launcher=launcher, folder=folder))
    python.chmod(0o755)
    return python


#: So that their standard inputs stay open as long as this process lives.
_servers: list[subprocess.Popen[bytes]] = []
