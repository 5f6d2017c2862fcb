"""Jobs that pretend to run, and last until they are ended or let go: whatever is planned happens while they run.

They have no processes, but those of shells that a user opens beside them. What a job does besides logging goes by way
of a folder, the desk: a file there lets all jobs go on to their end; by another one a job has the end of its step
reported, as the step's own code does in a real job; and a third one ends the time for which a job is held open.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

from zenml_azureml.contract.usage import CPU, Metric, Usage, line_of
from zenml_azureml.emulator.clock import Clock
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch, NodeShell
from zenml_azureml.emulator.runtimes.exit_errors import end_of_command

#: In whose presence held jobs come to their end.
RELEASE = "release"

#: Begins the names of the files that end holds, each of one job.
OVER = "over-"

#: What a job says that it has used.
USAGE = Usage(seconds=60.0, metrics={CPU: Metric(peak=1.5, mean=0.5, limit=4.0)})

#: Seconds of the machine between two looks at the desk.
_LOOK = 0.01

_STEP_RUN = re.compile(r"--step_run_id[= ]'?([0-9a-f-]{36})")


class HeldJobs:
    """A runtime of the emulator.

    Args:
        clock: What the seconds of a job are counted on.
        desk: The folder; it exists.
    """

    def __init__(self, clock: Clock, desk: Path) -> None:
        self._clock = clock
        self._desk = desk
        self._running: set[HeldJob] = set()

    async def start(self, launch: JobLaunch) -> HeldJob:
        """Start a job, which lasts, logs and ends as its variables say (`CHAOS_SECONDS` and so on)."""
        job = HeldJob(launch, self._clock, self._desk)
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


class HeldJob:
    """One such job."""

    def __init__(self, launch: JobLaunch, clock: Clock, desk: Path) -> None:
        variables = launch.environment
        self._launch, self._clock, self._desk = launch, clock, desk
        self._seconds, self._lines = float(variables["CHAOS_SECONDS"]), int(variables["CHAOS_LINES"])
        self._exit_code, self._held = int(variables["CHAOS_EXIT_CODE"]), variables.get("CHAOS_HELD") == "1"
        self._written = [0] * len(launch.log_files)
        self._killed: int | None = None
        for file in launch.log_files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def wait(self) -> JobEnd:
        """Wait for the end; a job that was terminated ends as a process does by SIGTERM."""
        await asyncio.wait([self.task])
        self._desk.mkdir(exist_ok=True)  # a job of the schedule before may end late
        with (self._desk / "written.txt").open("a") as written:
            for rank, lines in enumerate(self._written):
                written.write(f"{self._launch.name} {rank} {lines}\n")
        if self._killed is not None:
            log_file = self._launch.log_file_of(self._launch.processes[self._killed])
            return end_of_command(self._launch.command, -signal.SIGKILL, log_file)
        exit_code = -signal.SIGTERM if self.task.cancelled() else self.task.result()
        return end_of_command(self._launch.command, exit_code, self._launch.log_file)

    def shell(self, node: int) -> NodeShell | None:
        """A shell in the folder of the job, until that ends."""
        environment = {**self._launch.environment, "PATH": os.environ["PATH"]}
        return None if self.task.done() else NodeShell(("bash",), ("bash", "-i"), environment, self._launch.folder)

    async def terminate(self) -> None:
        """End it at once."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def kill(self, number: int) -> None:
        """Let one of its processes be killed, which ends the others."""
        if not self.task.done():
            self._killed = number
            await self.terminate()

    async def _run(self) -> int:
        for number in range(1, self._lines + 1):
            for rank, file in enumerate(self._launch.log_files):
                with file.open("a", encoding="utf-8") as log:
                    log.write(f"line {number} of {self._lines} of {self._launch.name}\n")
                self._written[rank] = number
            await self._clock.sleep(self._seconds / self._lines)
        self._report_usage()
        while self._held and not (self._desk / RELEASE).exists():
            await asyncio.sleep(_LOOK)
        found = _STEP_RUN.search(self._launch.command)
        if found and self._launch.environment.get("CHAOS_REPORTS") == "1":
            await self._report(found[1])
            if self._exit_code and self._launch.environment.get("CHAOS_HOLDS") == "1":
                while not (self._desk / f"{OVER}{self._launch.name}").exists():
                    await asyncio.sleep(_LOOK)
        return self._exit_code

    def _report_usage(self) -> None:
        """Log what the job has used, as its sampler does at its end; the end of the line may be missing."""
        wanted = self._launch.environment.get("CHAOS_USAGE")
        if wanted:
            line = f"{line_of(USAGE)}\n"
            with self._launch.log_file.open("a", encoding="utf-8") as log:
                log.write(line if wanted == "whole" else line[: len(line) // 2])

    async def _report(self, step_run_id: str) -> None:
        report = self._desk / f"report-{step_run_id}"
        holds = self._launch.environment.get("CHAOS_HOLDS") == "1"
        report.write_text(f"{self._exit_code} {'held' if holds else ''}")
        try:
            while report.exists():
                await asyncio.sleep(_LOOK)
        finally:
            report.unlink(missing_ok=True)  # a process that was ended reports nothing more
