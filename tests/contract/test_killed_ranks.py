"""One process of a job is killed: by the emulator's own interface, with what follows of it on Azure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.arm import Answer, Arm
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import Clock, SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.process.tree import processes_of
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

TWO_BY_TWO = {
    "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 2},
    "resources": {"instanceCount": 2},
}


@pytest.fixture(params=["simulated", "processes"])
def arm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Arm]:
    settings, clock = Settings(job_preparation=0, job_finalization=0), SystemClock()
    with Emulator(
        tmp_path, runtime=runtime(request.param, clock, settings), clock=clock, settings=settings
    ) as emulator:
        yield Arm(emulator)


def runtime(name: str, clock: Clock, settings: Settings) -> Runtime:
    return SimulatedRuntime(clock, settings) if name == "simulated" else ProcessRuntime(grace=1)


def submit(arm: Arm, command: str = "echo it runs; sleep 60") -> None:
    environment = f"{arm.workspace}/environments/env/versions/1"
    assert arm.call("PUT", environment, {"properties": {"image": "ubuntu"}}).status == 201
    job = {"jobType": "Command", "command": command, "environmentId": environment, **TWO_BY_TWO}
    job["environmentVariables"] = {"SIMULATE_SECONDS": "60"}
    assert arm.call("PUT", "jobs/train", {"properties": job}).status == 201


def kill(arm: Arm, rank: int, job: str = "train") -> Answer:
    return arm.call("POST", f"/_emulator/jobs/{job}/kill", {"rank": rank}, api_version=None)


def status(arm: Arm) -> str:
    return str(arm.call("GET", "jobs/train").body["properties"]["status"])


def test_the_job_fails_by_the_rank_that_was_killed_and_the_others_are_ended(arm: Arm, tmp_path: Path) -> None:
    submit(arm)
    eventually(lambda: status(arm) == "Running")

    assert kill(arm, 3).status == 204

    eventually(lambda: status(arm) == "Failed")
    details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/train/details", api_version=None).body
    message = details["error"]["error"]["message"]
    assert "exited with status code -9. Please check log file 'user_logs/std_log_process_3.txt'" in message
    assert processes_of(tmp_path.resolve()) == []


def test_a_rank_that_there_is_not_and_a_job_that_does_not_run_are_refused(arm: Arm) -> None:
    submit(arm)
    eventually(lambda: status(arm) == "Running")

    assert kill(arm, 0, job="another").status == 404
    assert kill(arm, 4).body == {"error": "There is no rank 4 in job train: its last one is 3."}
    assert kill(arm, 0).status == 204
    eventually(lambda: status(arm) == "Failed")
    again = kill(arm, 0)
    assert (again.status, again.body) == (400, {"error": "Nothing of job train runs: it is Failed."})
