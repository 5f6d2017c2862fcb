"""What simulated jobs log: as their variables ask, in the files that Azure ML would name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient, MpiDistribution, command
from azure.ai.ml.entities import Environment

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock

MPI = {"distributionType": "Mpi", "processCountPerInstance": 1}


class Logs:
    """The logs of a job, as run history lists them and as they are."""

    def __init__(self, emulator: Emulator, clock: ManualClock) -> None:
        self._emulator = emulator
        self._clock = clock
        self._arm = Arm(emulator)

    def submit(self, variables: dict[str, str], **properties: Any) -> None:
        """Submit a job; returns when it begins to run."""
        environment = f"{self._arm.workspace}/environments/env/versions/1"
        assert self._arm.call("PUT", environment, {"properties": {"image": "ubuntu"}}).status == 201
        job = {"jobType": "Command", "command": "x", "environmentId": environment, "environmentVariables": variables}
        assert self._arm.call("PUT", "jobs/train", {"properties": {**job, **properties}}).status == 201
        self.wait(self._emulator.context.settings.job_preparation)

    def wait(self, seconds: float) -> None:
        self._emulator.run(self._clock.advance(seconds))

    @property
    def listed(self) -> list[str]:
        details = self._arm.call("GET", f"/history/v1.0{self._arm.workspace}/runs/train/details", api_version=None)
        return [path.removeprefix("user_logs/") for path in details.body["logFiles"]]

    def __getitem__(self, name: str) -> str:
        job = self._emulator.context.store.workspaces[0].jobs["train"]
        return Path(job.log_folder / name).read_bytes().decode()


@pytest.fixture
def logs(slow: Emulator, clock: ManualClock) -> Logs:
    return Logs(slow, clock)


def test_a_job_of_one_process_has_one_log(logs: Logs) -> None:
    logs.submit({"SIMULATE_SECONDS": "10", "SIMULATE_LINES": "2"})

    assert logs.listed == ["std_log.txt"]
    assert logs["std_log.txt"] == "simulated line 1 of 2\n"
    logs.wait(5)
    assert logs["std_log.txt"] == "simulated line 1 of 2\nsimulated line 2 of 2\n"


def test_each_process_of_each_node_has_a_log_of_its_own(logs: Logs) -> None:
    logs.submit(
        {"SIMULATE_LINE": "{number} of {of} by {process}"},
        distribution={**MPI, "processCountPerInstance": 2},
        resources={"instanceCount": 2},
    )

    assert logs.listed == [f"std_log_process_{number}.txt" for number in range(4)]
    assert logs["std_log_process_3.txt"] == "1 of 1 by 3\n"


def test_logs_may_appear_late_one_after_the_other(logs: Logs) -> None:
    logs.submit({"SIMULATE_LOG_DELAY": "5"}, distribution=MPI, resources={"instanceCount": 2})

    assert logs.listed == []
    logs.wait(5)
    assert logs.listed == ["std_log_process_0.txt"]
    logs.wait(5)
    assert logs.listed == ["std_log_process_0.txt", "std_log_process_1.txt"]


def test_a_job_that_is_begun_anew_logs_to_a_folder_of_its_own(logs: Logs) -> None:
    logs.submit({"SIMULATE_RETRIES": "1", "SIMULATE_LINE": "attempt {attempt}", "SIMULATE_SECONDS": "10"})

    assert logs.listed == ["std_log.txt"]
    logs.wait(10)
    assert logs.listed == ["retry_001/std_log.txt", "std_log.txt"]
    assert logs["retry_001/std_log.txt"] == "attempt 1\n"


def test_a_log_may_go_on_in_another_file(logs: Logs) -> None:
    logs.submit({"SIMULATE_LINES": "3", "SIMULATE_LINES_PER_FILE": "2", "SIMULATE_LINE": "{number}"})

    assert logs.listed == ["std_log.txt", "std_log_1.txt"]
    assert (logs["std_log.txt"], logs["std_log_1.txt"]) == ("1\n2\n", "3\n")


def test_lines_may_be_anything_and_end_in_any_way(logs: Logs) -> None:
    logs.submit(
        {
            "SIMULATE_LINES": "3",
            "SIMULATE_LINE": "\x1b[32m{number}\x1b[0m grün",
            "SIMULATE_LINE_END": "\r",
            "SIMULATE_LOG_END": "",
        }
    )

    assert logs["std_log.txt"] == "\r".join(f"\x1b[32m{number}\x1b[0m grün" for number in (1, 2, 3))


def test_the_sdk_streams_the_first_process(streaming: MLClient, capsys: pytest.CaptureFixture[str]) -> None:
    job = command(
        name="train",
        command="x",
        environment=Environment(image="ubuntu"),
        environment_variables={"SIMULATE_SECONDS": "1", "SIMULATE_LINE": "by {process}"},
        distribution=MpiDistribution(process_count_per_instance=2),
    )
    streaming.jobs.create_or_update(job)

    streaming.jobs.stream("train")

    printed = capsys.readouterr().out
    assert "Streaming user_logs/std_log_process_0.txt" in printed
    assert "by 0" in printed
    assert "by 1" not in printed
