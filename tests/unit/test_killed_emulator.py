"""The processes of jobs whose emulator was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.escaping import assert_gone, escape
from tests.unit.process_jobs import Launch, launching, log_source, wait_until
from zenml_azureml.emulator.runtimes.base import JobLaunch
from zenml_azureml.emulator.runtimes.process.tree import KEEPER, end_processes, is_keeper, processes_of


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launching(tmp_path) as make:
        yield make


def emulator_of(job: JobLaunch) -> psutil.Popen:
    """A process that runs a job, as an emulator does, once the job runs."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from zenml_azureml.emulator.runtimes.base import JobLaunch\n"
        "from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime\n"
        f"job = JobLaunch('job', {job.command!r}, None, {{}}, Path({str(job.folder)!r}))\n"
        "async def main():\n"
        "    await (await ProcessRuntime().start(job)).wait()\n"
        "asyncio.run(main())\n"
    )
    emulator = psutil.Popen([sys.executable, "-c", program])
    wait_until(lambda: job.log_file.exists() and "ready" in log_source(job))
    return emulator


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has subreapers")
def test_the_processes_of_a_job_end_with_a_killed_emulator(launch: Launch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    emulator = emulator_of(launch(f"{escape(pid_file)}; (setsid sleep 600 &); echo ready; sleep 600"))

    emulator.kill()
    emulator.wait()

    wait_until(lambda: processes_of(tmp_path.resolve()) == [])
    assert_gone(pid_file)


def test_processes_that_a_killed_emulator_left_behind_are_found_and_ended(launch: Launch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    emulator = emulator_of(launch(f"{escape(pid_file)}; echo ready; sleep 600"))
    (keeper,) = filter(is_keeper, processes_of(tmp_path.resolve()))
    keeper.suspend()  # which else ends them itself
    emulator.kill()
    emulator.wait()
    assert {int(pid_file.read_text())} < {process.pid for process in processes_of(tmp_path.resolve())}

    end_processes(tmp_path.resolve(), grace=5)

    assert processes_of(tmp_path.resolve()) == []
    assert_gone(pid_file)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has subreapers")
def test_a_keeper_of_a_job_that_leaves_nothing_says_so(tmp_path: Path) -> None:
    shell = {"command": "(setsid sleep 0.2 &)", "cwd": str(tmp_path), "environment": {}, "log": str(tmp_path / "log")}
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(KEEPER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert keeper.stdin is not None
    assert keeper.stderr is not None

    keeper.stdin.write(json.dumps([shell]).encode() + b"\n")
    keeper.stdin.flush()  # and open: the emulator lives

    assert (keeper.wait(), keeper.stderr.read()) == (0, b"")
    keeper.communicate()
