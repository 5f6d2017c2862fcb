"""Jobs of the process runtime: real shells and real Pythons, each in a folder of its own."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.process.tree import end_processes

Launch = Callable[..., JobLaunch]


@contextmanager
def launching(folder: Path) -> Iterator[Launch]:
    """Makes launches, each with a folder of its own; nothing that they start outlives the block."""

    def make(command: str, *, name: str = "job", image: str | None = None, **variables: str) -> JobLaunch:
        job = folder / "jobs" / name
        job.mkdir(parents=True)
        return JobLaunch(name, command, image, variables, job)

    try:
        yield make
    finally:
        end_processes(folder.resolve(), grace=0)


def python(script: str) -> str:
    """A command that runs a script in the job's Python."""
    return f"python - <<'EOF'\n{textwrap.dedent(script)}\nEOF"


def run(job: JobLaunch, runtime: ProcessRuntime | None = None) -> JobEnd:
    async def start_and_wait() -> JobEnd:
        return await (await (runtime or ProcessRuntime()).start(job)).wait()

    return asyncio.run(start_and_wait())


def log_source(job: JobLaunch) -> str:
    return job.log_file.read_text()


def wait_until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


async def is_true(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)
