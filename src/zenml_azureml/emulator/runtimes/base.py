"""Interface of runtimes, which execute jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from zenml_azureml.emulator.jobs.processes import JobProcess


@dataclass(frozen=True)
class BuildContext:
    """A folder that an image is built from.

    Attributes:
        name: A name for the image: the environment's, and its version.
        folder: The folder.
        dockerfile: Path of the Dockerfile in it.
    """

    name: str
    folder: Path
    dockerfile: str


@dataclass(frozen=True)
class JobLaunch:
    """Everything a runtime needs to know to execute a job.

    Attributes:
        name: The job's name.
        command: The shell command of the job, its inputs and outputs already put in.
        image: The image of the job's environment; None if the environment names none.
        environment: Every environment variable that the command sees beyond what the runtime itself
            must set (PATH, HOME, TMPDIR): those of Azure ML and those of the job. May hold secrets:
            never log it.
        folder: The job's own folder; it exists, and nothing is written outside of it but for `mounts`.
        node_count: Number of nodes.
        processes: The processes that run its command, in the order of their logs.
        memory_gb: Memory of one node, in GB; None for as much as this machine has.
        shm_size: Size of the containers' `/dev/shm`, e.g. `2g`; None for the engine's default.
        mounts: Folders outside of it that the job writes to under their own paths: outputs mounted from a datastore.
        read_only: Folders in it that the job only reads: inputs that are mounted.
        docker_args: Further arguments for `docker run`, as one line; None for none.
        ca_bundle: A file that the environment names, and that the command must be able to read; None for none.
        build: What the image is built from if the environment names none; None if it has no build context either.
    """

    name: str
    command: str
    image: str | None
    environment: Mapping[str, str]
    folder: Path
    node_count: int = 1
    processes: tuple[JobProcess, ...] = (JobProcess(),)
    memory_gb: float | None = None
    shm_size: str | None = None
    docker_args: str | None = None
    ca_bundle: Path | None = None
    mounts: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    build: BuildContext | None = None

    @property
    def log_files(self) -> tuple[Path, ...]:
        """Files for stdout and stderr of its processes, each once."""
        return tuple(dict.fromkeys(self.log_file_of(process) for process in self.processes))

    @property
    def log_file(self) -> Path:
        """File for stdout and stderr of the first process, e.g. `user_logs/std_log.txt`."""
        return self.log_files[0]

    def log_file_of(self, process: JobProcess) -> Path:
        """Return the file for stdout and stderr of one process."""
        return self.folder / "user_logs" / process.log_name


@dataclass(frozen=True)
class JobEnd:
    """End of a job.

    Attributes:
        exit_code: Of the command, negative for a signal as in `subprocess`; None where it never
            started.
        error_code: Code of the failure in run history, e.g. `UserError`; None for success.
        message: Azure ML's message for the failure; None for success.
    """

    exit_code: int | None
    error_code: str | None = None
    message: str | None = None

    @property
    def succeeded(self) -> bool:
        """True if Azure ML would report Completed."""
        return self.error_code is None


@dataclass(frozen=True)
class NodeShell:
    """A shell beside a job's command: with its files, its working directory and its variables.

    Attributes:
        command: The program and its arguments, before those of the shell itself.
        command_with_terminal: The same for a shell at a terminal.
        environment: All environment variables of the program. May hold secrets: never log it.
        folder: Working directory of the program.
    """

    command: tuple[str, ...]
    command_with_terminal: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path


class EngineError(Exception):
    """A requirement of a runtime is missing or unusable; the message has the reason."""


class RunningJob(Protocol):
    """A job that a runtime has started."""

    async def wait(self) -> JobEnd:
        """Wait for the end; may be called once, also after `terminate`."""

    async def terminate(self) -> None:
        """End it and everything it started: asked first, killed after a grace time."""

    async def kill(self, number: int) -> None:
        """Kill one of its processes, as the kernel does if memory runs out.

        Args:
            number: Of the process, in the order of the launch.
        """

    def shell(self, node: int) -> NodeShell | None:
        """Return a shell beside the first process of a node; None if there is none.

        Args:
            node: Number of the node, from 0.
        """


class Runtime(Protocol):
    """Something that executes jobs."""

    async def start(self, launch: JobLaunch) -> RunningJob:
        """Start a job; returns as soon as it runs.

        Raises:
            FailedError: If it cannot run, with Azure ML's message.
        """

    async def close(self) -> None:
        """End every job that still runs."""

    def may_own_socket(self, inode: int) -> bool:
        """True if a socket of another user of this machine may belong to a job.

        Args:
            inode: The socket, as `/proc/PID/fd` names it.
        """
