"""Jobs that only pretend: each lasts, logs and ends as asked, and no process is started."""

from __future__ import annotations

import asyncio

from zenml_azureml.emulator.clock import Clock
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch


class SimulatedRuntime:
    """Pretends to execute jobs.

    A job says how it shall go by its environment variables: `SIMULATE_SECONDS` it lasts (0),
    `SIMULATE_LINES` it logs in that time (1), `SIMULATE_EXIT_CODE` it ends with (0).

    Args:
        clock: What the seconds are counted on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: set[_SimulatedJob] = set()

    async def start(self, launch: JobLaunch) -> _SimulatedJob:
        """Start a job; its log file exists when this returns."""
        launch.log_file.parent.mkdir(parents=True, exist_ok=True)
        launch.log_file.touch()
        job = _SimulatedJob(launch, self._clock)
        self._running.add(job)
        job.task.add_done_callback(lambda _task: self._running.discard(job))
        return job

    async def close(self) -> None:
        """End every job that still runs."""
        for job in tuple(self._running):
            await job.terminate()


class _SimulatedJob:
    def __init__(self, launch: JobLaunch, clock: Clock) -> None:
        environment = launch.environment
        self._launch = launch
        self._clock = clock
        self._seconds = float(environment.get("SIMULATE_SECONDS", "0"))
        self._lines = int(environment.get("SIMULATE_LINES", "1"))
        self._exit_code = int(environment.get("SIMULATE_EXIT_CODE", "0"))
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> JobEnd:
        await asyncio.wait([self.task])
        if self.task.cancelled():
            return JobEnd(exit_code=-15, error_code="UserError", message="Terminated.")
        return self.task.result()

    async def terminate(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _run(self) -> JobEnd:
        pause = self._seconds / max(self._lines, 1)
        with self._launch.log_file.open("a", encoding="utf-8") as log:
            for number in range(1, self._lines + 1):
                log.write(f"simulated line {number} of {self._lines}\n")
                log.flush()
                await self._clock.sleep(pause)
        if not self._lines:
            await self._clock.sleep(pause)
        if self._exit_code == 0:
            return JobEnd(exit_code=0)
        return JobEnd(
            exit_code=self._exit_code,
            error_code="UserError",
            message=f"The simulated command exited with status code {self._exit_code}.",
        )
