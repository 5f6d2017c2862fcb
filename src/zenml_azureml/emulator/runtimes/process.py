"""Jobs as processes of this machine, each in a folder of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.failure import end_of_command
from zenml_azureml.emulator.runtimes.job_folder import JobFolder
from zenml_azureml.emulator.runtimes.processes import end_processes


class ProcessRuntime:
    """Executes each job's command in a shell, as a process group of its own.

    There is no container: the image only chooses the Python that `python` means, and the job keeps
    to its folder because HOME, TMPDIR, `pip install` and `/app` lead there (see `app_shim`).

    Args:
        interpreters: By image, as the jobs' environments name it: the Python that stands for it.
        default_interpreter: The Python of every other image; by default the emulator's own.
        grace: Seconds that a job has to end itself when it is terminated, before it is killed.
    """

    def __init__(
        self,
        interpreters: Mapping[str, Path] | None = None,
        default_interpreter: Path = Path(sys.executable),
        *,
        grace: float = 5.0,
    ) -> None:
        self._interpreters = dict(interpreters or {})
        self._default_interpreter = default_interpreter
        self._grace = grace
        self._running: set[_ProcessJob] = set()

    async def start(self, launch: JobLaunch) -> _ProcessJob:
        """Start a job; its log file exists when this returns.

        Raises:
            OSError: If the job's folder cannot be written to.
        """
        interpreter = self._interpreters.get(launch.image or "", self._default_interpreter)
        folder = JobFolder(launch.folder.resolve())
        folder.prepare(interpreter)
        launch.log_file.parent.mkdir(parents=True, exist_ok=True)
        with launch.log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *("/bin/bash", "-c", launch.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder.working_directory,
                env=folder.environment(interpreter, launch.environment),
                start_new_session=True,
            )
        job = _ProcessJob(process, launch, folder, self._grace)
        self._running.add(job)
        job.ended.add_done_callback(lambda _task: self._running.discard(job))
        return job

    async def close(self) -> None:
        """End every job that still runs."""
        await asyncio.gather(*(job.terminate() for job in tuple(self._running)))


class _ProcessJob:
    """A job's shell and everything that it has started."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        launch: JobLaunch,
        folder: JobFolder,
        grace: float,
    ) -> None:
        self._process = process
        self._launch = launch
        self._folder = folder
        self._grace = grace
        self._ending = asyncio.Lock()
        self.ended = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> JobEnd:
        """Wait until nothing of the job runs any more."""
        return await asyncio.shield(self.ended)

    async def terminate(self) -> None:
        """End it and everything it started: asked first, killed after a grace time."""
        # The lock keeps `_run` from killing the rest while that has its grace.
        async with self._ending:
            await self._end_processes(self._grace)
        await asyncio.wait([self.ended])

    async def _run(self) -> JobEnd:
        exit_code = await self._process.wait()
        # The end of a container's command is the end of the container, whatever else runs in it.
        async with self._ending:
            await self._end_processes(0)
        return end_of_command(self._launch.command, exit_code, self._launch.log_file)

    async def _end_processes(self, grace: float) -> None:
        root, group = self._folder.root, self._process.pid
        await asyncio.to_thread(end_processes, root, group, grace=grace)
