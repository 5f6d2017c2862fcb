"""Jobs that only pretend: each lasts, logs and ends as asked, and no process is started."""

from __future__ import annotations

import asyncio
import signal

from zenml_azureml.emulator.clock import Clock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.failure import end_of_command


class SimulatedRuntime:
    """Pretends to execute jobs.

    A job says how it shall go by its environment variables: `SIMULATE_SECONDS` it lasts,
    `SIMULATE_LINES` it logs in that time, `SIMULATE_EXIT_CODE` it ends with. What it does not say is
    taken from the settings (`simulated_seconds` and so on).

    Args:
        clock: What the seconds are counted on.
        settings: The emulator's.
    """

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._running: set[SimulatedJob] = set()

    async def start(self, launch: JobLaunch) -> SimulatedJob:
        """Start a job; its log file exists when this returns.

        Raises:
            ValueError: If one of its variables is not a number.
        """
        asked, settings = launch.environment, self._settings
        job = SimulatedJob(
            launch,
            self._clock,
            seconds=float(asked.get("SIMULATE_SECONDS", settings.simulated_seconds)),
            lines=int(asked.get("SIMULATE_LINES", settings.simulated_lines)),
            exit_code=int(asked.get("SIMULATE_EXIT_CODE", settings.simulated_exit_code)),
        )
        self._running.add(job)
        job.task.add_done_callback(lambda _task: self._running.discard(job))
        return job

    async def close(self) -> None:
        """End every job that still runs."""
        for job in tuple(self._running):
            await job.terminate()


class SimulatedJob:
    """A job that pretends to run."""

    def __init__(self, launch: JobLaunch, clock: Clock, *, seconds: float, lines: int, exit_code: int) -> None:
        self._launch = launch
        self._clock = clock
        self._seconds = seconds
        self._lines = lines
        self._exit_code = exit_code
        launch.log_file.parent.mkdir(parents=True, exist_ok=True)
        launch.log_file.touch()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> JobEnd:
        """Wait for the end; a job that was terminated ends as a process does by SIGTERM."""
        await asyncio.wait([self.task])
        exit_code = -signal.SIGTERM if self.task.cancelled() else self.task.result()
        return end_of_command(self._launch.command, exit_code, self._launch.log_file)

    async def terminate(self) -> None:
        """End it at once."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _run(self) -> int:
        for number in range(1, self._lines + 1):
            with self._launch.log_file.open("a", encoding="utf-8") as log:
                log.write(f"simulated line {number} of {self._lines}\n")
            await self._clock.sleep(self._seconds / self._lines)
        if not self._lines:
            await self._clock.sleep(self._seconds)
        return self._exit_code
