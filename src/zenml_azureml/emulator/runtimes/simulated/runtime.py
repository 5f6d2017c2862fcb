"""Jobs that only pretend: each lasts, logs and ends as asked, and no process is started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from zenml_azureml.emulator.clock import Clock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.http.bounds import LONGEST_SECONDS, MOST_RETRIES, number_between
from zenml_azureml.emulator.jobs.log_files import retry_folder
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.exit_errors import end_of_command
from zenml_azureml.emulator.runtimes.simulated.log import SimulatedLog


class SimulatedRuntime:
    """A runtime that only pretends to execute jobs.

    A job sets its behaviour with environment variables: `SIMULATE_SECONDS` is its duration, `SIMULATE_LINES` the number
    of lines that each of its processes logs in that time (see `SimulatedLog` for more), `SIMULATE_EXIT_CODE` its exit
    code, and `SIMULATE_RETRIES` the number of times that it is preempted and restarted. The defaults are the settings
    (`simulated_seconds` and so on).

    Args:
        clock: The clock.
        settings: The emulator's.
    """

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._running: set[SimulatedJob] = set()

    async def start(self, launch: JobLaunch) -> SimulatedJob:
        """Start a job; its log files exist when this returns, unless they are to appear later.

        Raises:
            ValueError: If one of its variables is not a number, or out of bounds.
        """
        asked, settings = launch.environment, self._settings
        job = SimulatedJob(
            launch,
            self._clock,
            SimulatedLog.asked_for(asked, settings.simulated_lines),
            seconds=_number(asked, "SIMULATE_SECONDS", settings.simulated_seconds, LONGEST_SECONDS),
            exit_code=int(_number(asked, "SIMULATE_EXIT_CODE", settings.simulated_exit_code, 255, least=-64)),
            retries=int(_number(asked, "SIMULATE_RETRIES", 0, MOST_RETRIES)),
        )
        self._running.add(job)
        job.task.add_done_callback(lambda _task: self._running.discard(job))
        return job

    async def close(self) -> None:
        """End every job that still runs."""
        for job in tuple(self._running):
            await job.terminate()

    def may_own_socket(self, inode: int) -> bool:
        """False: these jobs have no processes."""
        return False


class SimulatedJob:
    """A job that pretends to run."""

    def __init__(
        self, launch: JobLaunch, clock: Clock, log: SimulatedLog, *, seconds: float, exit_code: int, retries: int
    ) -> None:
        self._launch = launch
        self._clock = clock
        self._log = log
        self._seconds = seconds
        self._exit_code = exit_code
        self._retries = retries
        self._killed: int | None = None
        if not log.delay:
            for file in launch.log_files:
                _create(file)
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> JobEnd:
        """Wait for the end; a job that was terminated ends as a process does by SIGTERM."""
        await asyncio.wait([self.task])
        if self._killed is not None:
            log_file = self._launch.log_file_of(self._launch.processes[self._killed])
            return end_of_command(self._launch.command, -signal.SIGKILL, log_file)
        exit_code = -signal.SIGTERM if self.task.cancelled() else self.task.result()
        return end_of_command(self._launch.command, exit_code, self._launch.log_file)

    async def terminate(self) -> None:
        """End it at once."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def kill(self, number: int) -> None:
        """Let one of its processes be killed, which ends the others."""
        if not self.task.done():
            self._killed = number
            await self.terminate()

    def shell(self, node: int) -> None:
        """None: these jobs have no place for a shell."""

    async def _run(self) -> int:
        for attempt in range(self._retries + 1):
            files = self._launch.log_files
            await asyncio.gather(*(self._run_process(number, file, attempt) for number, file in enumerate(files)))
        return self._exit_code

    async def _run_process(self, process: int, file: Path, attempt: int) -> None:
        if attempt:
            file = file.parent / retry_folder(attempt) / file.name
        await self._clock.sleep(self._log.delay * (process + 1))
        _create(file)
        for number in range(1, self._log.lines + 1):
            self._log.write(number, file, process=process, attempt=attempt)
            await self._clock.sleep(self._seconds / self._log.lines)
        if not self._log.lines:
            await self._clock.sleep(self._seconds)


def _number(variables: Mapping[str, str], name: str, default: float, most: float, *, least: float = 0) -> float:
    return number_between(variables.get(name, default), least, most, name)


def _create(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
