"""Jobs as containers of this machine's Docker engine, from images that it pulls."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from docker.models.containers import Container
from docker.types import Mount

from zenml_azureml.emulator.jobs import layout
from zenml_azureml.emulator.jobs.exits import FailedError
from zenml_azureml.emulator.jobs.processes import JobProcess, Rendezvous, variables_of
from zenml_azureml.emulator.local.state_folder import claim
from zenml_azureml.emulator.runtimes.base import EngineError, JobEnd, JobLaunch, NodeShell
from zenml_azureml.emulator.runtimes.docker.arguments import container_options
from zenml_azureml.emulator.runtimes.docker.engine import DockerEngine, memory_limit
from zenml_azureml.emulator.runtimes.docker.owners import has_others, open_to_all, writable_folders
from zenml_azureml.emulator.runtimes.docker.reaper import Reaper
from zenml_azureml.emulator.runtimes.exit_errors import end_of_command
from zenml_azureml.emulator.runtimes.ports import Ports

#: Containers that can run at once: each has a thread that follows its output.
_MOST_CONTAINERS = 512

_log = logging.getLogger(__name__)

T = TypeVar("T")


class DockerRuntime:
    """Executes each job's command in containers of its image, one for each of its processes.

    As on Azure ML the image comes from its registry, its working directory and entrypoint do not count, and its
    memory is the VM's. There is no GPU, whatever the VM size says.

    Args:
        state: State folder of the emulator; its containers are found again by it.
        network: Network of all containers, e.g. `host`; None for what the job's docker arguments say.
        grace: Seconds that a job has to end itself when it is terminated, before it is killed.

    Raises:
        EngineError: If no Docker engine answers.
        StateFolderError: If the folder is not an emulator's, and not empty.
    """

    def __init__(self, state: Path, *, network: str | None = None, grace: float = 5.0) -> None:
        state = claim(state)  # the engine leaves a mark there
        self._engine = DockerEngine(state)
        self._engine.remove_all()
        self._engine.mark()
        self._network = network
        self._grace = grace
        self._ports = Ports()
        # Two, so that followers that wait for their containers never keep these from being ended.
        self._calls = ThreadPoolExecutor(16, "docker-call")
        self._followers = ThreadPoolExecutor(_MOST_CONTAINERS, "docker-follower")
        self._reaper: Reaper | None = None
        self._starting: set[asyncio.Task[_DockerJob]] = set()
        self._running: set[_DockerJob] = set()

    async def start(self, launch: JobLaunch) -> _DockerJob:
        """Pull or build the image, and start the containers; their log files exist when this returns.

        Raises:
            FailedError: If the image cannot be had, or the engine refuses a container.
        """
        # Shielded: what a thread is about to start has to be known, or it could not be ended.
        starting = asyncio.get_running_loop().create_task(self._start(launch))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return await asyncio.shield(starting)

    async def close(self) -> None:
        """End every job, those too that are just being started."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(job.terminate() for job in tuple(self._running)))
        if self._reaper is not None:
            await self.call(self._reaper.dismiss)
            self._reaper = None

    def may_own_socket(self, inode: int) -> bool:
        """True: an image chooses its user, whose processes only root could look up. The credential alone decides."""
        return True

    async def _start(self, launch: JobLaunch) -> _DockerJob:
        image = launch.image
        if image is not None:
            await self.call(self._engine.pull, image, launch.name)
        elif launch.build is not None:
            image = await self.call(self._engine.build, launch.build, self._network)
        else:
            raise FailedError(
                "UserError",
                "The job's environment names no image and has no build context here, and this emulator builds no image "
                "from a conda file.",
            )
        self._reaper = self._reaper or Reaper(*self._engine.run)
        await asyncio.to_thread(open_to_all, launch)
        nodes: list[_Node] = []
        # Containers find each other in the network of the machine (`--network host`), as nodes on Azure find each other
        # in theirs; in a network of Docker's own they do not.
        meeting = Rendezvous(("127.0.0.1",) * launch.node_count, self._ports.give(len(launch.processes)))
        try:
            for process in launch.processes:
                log_file = launch.log_file_of(process)
                log_file.parent.mkdir(parents=True, exist_ok=True)
                log_file.touch()
                options = options_of(launch, process, meeting, self._network)
                container = await self.call(self._engine.start, image, launch.name, options)
                nodes.append(_Node(container, log_file))
        except FailedError:
            for node in nodes:
                await self.call(self._engine.remove, node.container)
            raise
        job = _DockerJob(self, launch, image, nodes)
        self._running.add(job)
        job.ended.add_done_callback(lambda _task: self._running.discard(job))
        return job

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Make a call to the engine that ends soon."""
        return await asyncio.get_running_loop().run_in_executor(self._calls, function, *arguments)

    async def follow(self, node: _Node) -> int:
        """Write a container's output to its log until it ends; its exit code."""
        return await asyncio.get_running_loop().run_in_executor(self._followers, self._follow, node)

    async def stop(self, node: _Node) -> None:
        """End a container: asked first, killed after the grace time."""
        await self.call(self._engine.stop, node.container, self._grace)

    async def kill(self, node: _Node) -> None:
        """Kill a container."""
        await self.call(self._engine.kill, node.container)

    async def remove(self, node: _Node) -> None:
        """Remove a container."""
        await self.call(self._engine.remove, node.container)

    async def take_back(self, launch: JobLaunch, image: str) -> None:
        """Make the files that the containers of a job have written this user's, who reads and deletes them."""
        folders = writable_folders(launch)
        if not await asyncio.to_thread(has_others, folders, os.geteuid()):
            return
        try:
            await self.call(self._engine.give_back, image, folders)
        except EngineError as error:
            _log.warning("Files of job %s belong to a user of its container: %s", launch.name, error)

    def _follow(self, node: _Node) -> int:
        with node.log_file.open("ab", buffering=0) as log:
            for chunk in self._engine.output(node.container):
                log.write(chunk)
        return self._engine.exit_code(node.container)


@dataclass(frozen=True)
class _Node:
    container: Container
    log_file: Path


class _DockerJob:
    """A job's containers. The first that fails ends the others."""

    def __init__(self, runtime: DockerRuntime, launch: JobLaunch, image: str, nodes: list[_Node]) -> None:
        self._runtime = runtime
        self._launch = launch
        self._image = image
        self._nodes = nodes
        self.ended = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> JobEnd:
        """Wait until no container of the job is left."""
        return await asyncio.shield(self.ended)

    async def terminate(self) -> None:
        """End its containers: asked first, killed after a grace time."""
        await self._stop()
        await asyncio.wait([self.ended])

    async def kill(self, number: int) -> None:
        """Kill one of its containers."""
        await self._runtime.kill(self._nodes[number])

    def shell(self, node: int) -> NodeShell | None:
        """Return a shell in the first container of a node; None if there is none, or no `docker` command."""
        docker = shutil.which("docker")
        containers = zip(self._launch.processes, self._nodes, strict=True)
        found = next((container for process, container in containers if process.node == node), None)
        if docker is None or found is None:
            return None
        # The container's variables are those of the job.
        place = ("--workdir", working_directory(self._launch.name), str(found.container.id), "/bin/bash")
        execute = (docker, "exec", "--interactive")
        return NodeShell((*execute, *place), (*execute, "--tty", *place), os.environ, Path("/"))

    async def _stop(self) -> None:
        await asyncio.gather(*(self._runtime.stop(node) for node in self._nodes))

    async def _run(self) -> JobEnd:
        end = JobEnd(exit_code=0)
        for ended in asyncio.as_completed([self._end_of(node) for node in self._nodes]):
            found = await ended
            if end.succeeded and not found.succeeded:
                end = found
                await self._stop()
        await self._runtime.take_back(self._launch, self._image)
        return end

    async def _end_of(self, node: _Node) -> JobEnd:
        exit_code = await self._runtime.follow(node)
        await self._runtime.remove(node)
        return end_of_command(self._launch.command, exit_code, node.log_file)


def options_of(launch: JobLaunch, process: JobProcess, meeting: Rendezvous, network: str | None) -> dict[str, Any]:
    """Return the arguments that create the container of one process.

    Args:
        launch: The job.
        process: One of its processes.
        meeting: Addresses of the processes.
        network: The network that it is to be in, whatever the job says; None for the job's.

    Returns:
        Arguments of `docker.models.containers.ContainerCollection.create`.

    Raises:
        FailedError: If the job's docker arguments cannot be used.
    """
    asked = container_options(launch.docker_args)
    memory = memory_limit(launch.memory_gb)
    if network is not None:
        asked["network_mode"] = network
    return {
        "shm_size": launch.shm_size,
        "working_dir": working_directory(launch.name),
        "mem_limit": memory,
        "memswap_limit": asked.get("mem_limit", memory),  # no swap beyond it
        **asked,
        # Docker has a pipe for each of stdout and stderr, and does not know which line came first: this makes it one.
        "entrypoint": ["/bin/bash", "-c", 'exec /bin/bash -c "$0" 2>&1', launch.command],
        "environment": {
            "PYTHONUNBUFFERED": "1",
            **asked["environment"],
            **variables_of(process, launch.processes, meeting),
            **launch.environment,
            "AZUREML_CR_EXECUTION_WORKING_DIR_PATH": working_directory(launch.name),
        },
        # The first process of a container does not hear SIGTERM unless it listens for it, which shells do not.
        "init": True,
        "mounts": _mounts(launch, process.node),
    }


def _mounts(launch: JobLaunch, node: int) -> list[Mount]:
    """Return the folders of the working directory, and those of inputs and outputs at the paths in the command."""
    own, first = (layout.working_directory(layout.node_folder(launch.folder, number)) for number in (node, 0))
    there = working_directory(launch.name)
    places = {there: own}
    if node > 0:  # a job has its artifacts once
        places |= {f"{there}/{name}": first / name for name in layout.ARTIFACT_FOLDERS}
    same = (layout.data_folder(launch.folder), *launch.read_only, *launch.mounts, launch.ca_bundle)
    places |= {str(path): path for path in same if path is not None}
    locked = {*launch.read_only, launch.ca_bundle}
    return [
        Mount(target, str(source), type="bind", read_only=source in locked)
        for target, source in places.items()
        if source.exists()
    ]


def working_directory(job_name: str) -> str:
    """Return the working directory of a job's command, which is not that of the image.

    Users show such paths in their scripts, the job as 32 hexadecimal digits.

    Args:
        job_name: The job.
    """
    return f"/mnt/azureml/cr/j/{uuid.uuid5(uuid.NAMESPACE_URL, job_name).hex}/exe/wd"
