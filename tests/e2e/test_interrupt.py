"""Whatever ends the waiting ends the job: nobody pays for a job that nobody waits for."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.state import Job

LONG = """
from zenml.config.retry_config import StepRetryConfig

RETRIES = StepRetryConfig(max_retries=2, delay=1)

@pipeline(enable_cache=False, settings=NO_BUILD)
def long():
    CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml")()

if __name__ == "__main__":
    long()
"""

STATUSES = 'run = last_run(); print("STATUSES", run.status, run.steps["sleeper"].status)'


@pytest.fixture(autouse=True)
def _jobs_of_an_hour(emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600


def jobs_of(emulator: Emulator) -> list[Job]:
    return list(emulator.context.store.workspaces[0].jobs.values())


def read_until(client: subprocess.Popen[str], text: str) -> str:
    """What a client has printed up to the line with this text."""
    assert client.stdout is not None
    output = ""
    for line in client.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(output)


def rest_of(client: subprocess.Popen[str]) -> str:
    output, _ = client.communicate(timeout=60)
    return output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_job_runs_ends_the_job(
    number: signal.Signals, simulated_project: Project, emulator: Emulator
) -> None:
    client = simulated_project.start(LONG)
    read_until(client, "[sleeper] simulated line")

    client.send_signal(number)

    output = rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert [line for line in output.splitlines() if job.name in line] == [
        f"The Azure ML job `{job.name}` has ended: Canceled."
    ]
    assert client.returncode != 0
    assert "STATUSES failed failed" in simulated_project.succeed(STATUSES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_step_that_has_retries_left_without_another_job(
    number: signal.Signals, simulated_project: Project, emulator: Emulator
) -> None:
    client = simulated_project.start(LONG.replace('name="sleeper"', 'name="sleeper", retry=RETRIES'))
    read_until(client, "[sleeper] simulated line")

    client.send_signal(number)

    rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert client.returncode != 0
    (status,) = simulated_project.succeed('print("RUN", last_run().status)').split("RUN ")[1:]
    assert status.strip() in ("stopped", "failed")


def test_a_signal_while_the_job_is_being_submitted_ends_the_job(simulated_project: Project, emulator: Emulator) -> None:
    """The job is there already, only the answer is still on its way."""
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 30})
    client = simulated_project.start(LONG)
    eventually(lambda: jobs_of(emulator), seconds=60)

    client.send_signal(signal.SIGINT)

    output = rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert f"The Azure ML job `{job.name}` has ended: Canceled." in output
    assert client.returncode != 0


def test_stopping_the_run_from_elsewhere_ends_the_job(simulated_project: Project, emulator: Emulator) -> None:
    client = simulated_project.start(LONG)
    read_until(client, "[sleeper] simulated line")
    run = simulated_project.succeed("print(last_run().name)").split()[-1]

    stopped = simulated_project.zenml("pipeline", "runs", "stop", run, "--graceful", "--yes")

    assert stopped.returncode == 0, stopped.stderr
    output = rest_of(client)
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert f"The Azure ML job `{job.name}` has ended: Canceled." in output
    assert "STATUSES stopped stopped" in simulated_project.succeed(STATUSES)


def test_a_job_whose_name_cannot_be_saved_is_ended(simulated_project: Project, emulator: Emulator) -> None:
    (database,) = Path(simulated_project.environment["ZENML_CONFIG_PATH"]).rglob("zenml.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON run_metadata WHEN NEW.key = 'azureml_job_name' "
            "BEGIN SELECT RAISE(ABORT, 'the disk of the server is full'); END"
        )

    code, output = simulated_project.run(LONG)

    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert f"The Azure ML job `{job.name}` has ended: Canceled." in output
    assert "the disk of the server is full" in output
    assert code != 0
    assert "STATUSES failed failed" in simulated_project.succeed(STATUSES)
