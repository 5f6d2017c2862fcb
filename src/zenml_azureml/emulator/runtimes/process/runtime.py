"""Jobs as processes of this machine, each in a folder of its own, and in that one for each further node."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zenml_azureml.emulator.jobs.layout import node_folder
from zenml_azureml.emulator.jobs.processes import JobProcess, Rendezvous, variables_of
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch, NodeShell
from zenml_azureml.emulator.runtimes.exit_errors import end_of_command
from zenml_azureml.emulator.runtimes.ports import Ports
from zenml_azureml.emulator.runtimes.process.job_folder import JobFolder
from zenml_azureml.emulator.runtimes.process.kept import KeptShells, Shell
from zenml_azureml.emulator.runtimes.process.tree import end_processes, has_socket

#: What nodes are reached at: all of them are this machine.
_LOOPBACK = "127.0.0.1"


class ProcessRuntime:
    """Executes each job's command in a shell for each of its processes, each a process group of its own.

    There is no container: the image only chooses the Python that `python` means, and the job keeps
    to its folder because HOME, TMPDIR, `pip install` and `/app` lead there (see `app_shim`). What is a node on Azure
    is a folder here: the processes of a node share all of that, those of several nodes nothing.

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
        self._ports = Ports()
        self._running: set[_ProcessJob] = set()

    async def start(self, launch: JobLaunch) -> _ProcessJob:
        """Start a job; its log files exist when this returns.

        Raises:
            OSError: If the job's folder cannot be written to.
        """
        interpreter = self._interpreters.get(launch.image or "", self._default_interpreter)
        root = launch.folder.resolve()
        nodes = [JobFolder(node_folder(root, node)) for node in range(launch.node_count)]
        for folder in nodes:
            folder.prepare(interpreter)
        for folder in nodes[1:]:
            folder.share_artifacts(nodes[0])
        meeting = Rendezvous((_LOOPBACK,) * launch.node_count, self._ports.give(len(launch.processes)))
        shells = []
        for process in launch.processes:
            own = variables_of(process, launch.processes, meeting)
            folder = nodes[process.node]
            environment = folder.environment(interpreter, {**own, **launch.environment})
            log_file = launch.log_file_of(process)
            log_file.parent.mkdir(parents=True, exist_ok=True)
            log_file.touch()
            shells.append(Shell(launch.command, str(folder.working_directory), environment, str(log_file)))
        try:
            job = _ProcessJob(await KeptShells.start(root, shells), shells, launch, root, self._grace)
        except BaseException:
            await asyncio.to_thread(end_processes, root, grace=0)
            raise
        self._running.add(job)
        job.ended.add_done_callback(lambda _task: self._running.discard(job))
        return job

    async def close(self) -> None:
        """End every job that still runs."""
        await asyncio.gather(*(job.terminate() for job in tuple(self._running)))

    def may_own_socket(self, inode: int) -> bool:
        """True if one of the jobs' processes has the socket, whatever user it has become."""
        return has_socket([job.keeper for job in tuple(self._running)], inode)


class _ProcessJob:
    """A job's shells and everything that they have started. The first that fails ends the others."""

    def __init__(
        self,
        shells: KeptShells,
        started: Sequence[Shell],
        launch: JobLaunch,
        root: Path,
        grace: float,
    ) -> None:
        self._shells = shells
        self._started = started
        self._had_visitor = False
        self._launch = launch
        self._root = root
        self._grace = grace
        self._ending = asyncio.Lock()
        self.ended = asyncio.get_running_loop().create_task(self._run())

    @property
    def keeper(self) -> int:
        """Process id of its keeper, of which all of its processes are descendants."""
        return self._shells.keeper_pid

    async def wait(self) -> JobEnd:
        """Wait until nothing of the job runs any more."""
        return await asyncio.shield(self.ended)

    async def terminate(self) -> None:
        """End it and everything it started: asked first, killed after a grace time."""
        # The lock keeps `_run` from killing the rest while that has its grace.
        async with self._ending:
            await self._end_processes(self._grace)
        await asyncio.wait([self.ended])

    async def kill(self, number: int) -> None:
        """Kill one of its processes, and what that has started."""
        with contextlib.suppress(ProcessLookupError):
            self._shells.kill(number)

    def shell(self, node: int) -> NodeShell | None:
        """Return a shell with the folder and the variables of the first process of a node; None if there is none."""
        for process, started in zip(self._launch.processes, self._started, strict=True):
            if process.node == node:
                self._had_visitor = True
                bash = ("/bin/bash",)
                return NodeShell(bash, bash, started.environment, Path(started.cwd))
        return None

    async def _run(self) -> JobEnd:
        ends = await self._until_over()
        # The end of a container's command is the end of the container, whatever else runs in it.
        async with self._ending:
            # What a visitor's shell has started is no descendant of the keeper.
            if self._had_visitor or not await self._shells.left_nothing():
                await self._end_processes(0)
        return next((end for end in ends if not end.succeeded), JobEnd(exit_code=0))

    async def _until_over(self) -> list[JobEnd]:
        """Wait for the end of every process that ends by itself, or the first failure; how they ended, in that order.

        A process that ends early with success leaves the others alone.
        """
        numbered = enumerate(self._launch.processes)
        waited_for = [self._end_of(number, one) for number, one in numbered if not one.serves_others]
        ends: list[JobEnd] = []
        tasks = [asyncio.ensure_future(waiting) for waiting in waited_for]
        for ended in asyncio.as_completed(tasks):
            ends.append(await ended)
            if not ends[-1].succeeded:
                async with self._ending:
                    # Guess: the others are asked to end, as when a job is cancelled.
                    await self._end_processes(self._grace)
                break
        for task in tasks:
            task.cancel()
        return ends

    async def _end_of(self, number: int, process: JobProcess) -> JobEnd:
        exit_code = await self._shells.end_of(number)
        return end_of_command(self._launch.command, exit_code, self._launch.log_file_of(process))

    async def _end_processes(self, grace: float) -> None:
        await asyncio.to_thread(end_processes, self._root, self._shells.pids, grace=grace)
