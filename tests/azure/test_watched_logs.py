"""The logs of jobs under watch: all of them for whoever follows, their end for everybody else."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from azure.identity import ClientSecretCredential

from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.monitor import JobMonitor
from zenml_azureml.azure.jobs.watch import LineHandler, WatchOptions
from zenml_azureml.emulator import Emulator, WorkspaceName

A_LONG_TIME = timedelta(seconds=60)


@pytest.fixture
def monitor(credential: ClientSecretCredential) -> JobMonitor:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    return JobMonitor(WorkspaceConnection(address, lambda: credential), poll_interval=timedelta(seconds=0.05))


def submit(emulator: Emulator, variables: dict[str, str], **properties: Any) -> None:
    arm = Arm(emulator)
    environment = f"{arm.workspace}/environments/env/versions/1"
    assert arm.call("PUT", environment, {"properties": {"image": "ubuntu"}}).status == 201
    job = {"jobType": "Command", "command": "x", "environmentId": environment, "environmentVariables": variables}
    assert arm.call("PUT", "jobs/train", {"properties": {**job, **properties}}).status == 201


def watched_to_its_end(monitor: JobMonitor, on_line: LineHandler | None) -> JobHandle:
    job = monitor.watch("train", WatchOptions(tag="", patience=A_LONG_TIME, on_line=on_line))
    assert job.wait(A_LONG_TIME)
    return job


def test_every_process_and_every_attempt_is_followed_to_its_end(monitor: JobMonitor, emulator: Emulator) -> None:
    submit(
        emulator,
        {
            "SIMULATE_SECONDS": "1",
            "SIMULATE_LINES": "40",
            "SIMULATE_LINE": "\x1b[32mgrün {number}\x1b[0m of {process}.{attempt}",
            "SIMULATE_LOG_END": "",
            "SIMULATE_LINES_PER_FILE": "15",
            "SIMULATE_LOG_DELAY": "0.1",
            "SIMULATE_RETRIES": "1",
        },
        distribution={"distributionType": "PyTorch", "processCountPerInstance": 2},
        resources={"instanceCount": 2},
    )
    told: list[str] = []

    job = watched_to_its_end(monitor, told.append)

    by_process: dict[str, list[int]] = defaultdict(list)
    for line in told:
        found = re.fullmatch(r"(?:\[.+\] )?\x1b\[32mgrün (\d+)\x1b\[0m of (\d\.\d)", line)
        assert found, line
        by_process[found[2]].append(int(found[1]))
    assert {process: sorted(numbers) for process, numbers in by_process.items()} == {
        f"{process}.{attempt}": list(range(1, 41)) for process in range(4) for attempt in range(2)
    }
    assert job.log_end.label.startswith("retry 1 process 0")
    assert "\x1b" not in "".join(job.log_end.lines)


def test_of_a_log_that_nobody_follows_the_end_is_read(monitor: JobMonitor, emulator: Emulator) -> None:
    submit(emulator, {"SIMULATE_LINES": "3", "SIMULATE_LINE": "{number}" + "." * 500_000, "SIMULATE_EXIT_CODE": "3"})

    job = watched_to_its_end(monitor, None)

    assert job.log_end.lines[0].endswith(".. ... (65535 characters)")
    assert job.details is not None
    assert "exited with status code 3" in job.details.error
    logs = [entry for entry in requests_of(emulator) if "std_log" in entry["path"]]
    assert sum(entry["bytes_sent"] for entry in logs) < 100_000


def test_a_log_that_cannot_be_shown_is_an_error(monitor: JobMonitor, emulator: Emulator) -> None:
    submit(emulator, {"SIMULATE_LINES": "3"})

    def broken(line: str) -> None:
        raise BrokenPipeError(line)

    job = watched_to_its_end(monitor, broken)

    assert "Showing the log of the job `train` failed: BrokenPipeError('simulated line 1 of 3')" in str(job.error)
