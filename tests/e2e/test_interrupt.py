"""Whatever ends the waiting ends the job: nobody pays for a job that nobody waits for."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of, read_until
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator

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


def rest_of(client: Process) -> str:
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


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
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


DYNAMIC = """
import sys, time
from zenml.config.retry_config import StepRetryConfig

RETRIES = StepRetryConfig(max_retries=2, delay=1) if "with retries" in sys.argv else None

sleeper = CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml", retry=RETRIES)
failing = CommandStep(["false"], name="failing", step_operator="azureml", settings={
    "step_operator": AzureMLStepOperatorSettings(
        environment_variables={"SIMULATE_EXIT_CODE": "1", "SIMULATE_SECONDS": "2"}
    )
})

def dynamic(mode="continue_on_failure"):
    return pipeline(
        dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[sleeper, failing], execution_mode=mode
    )

@dynamic()
def one_after_the_other():
    sleeper()

@dynamic()
def at_once():
    for future in [sleeper.submit(), sleeper.submit()]:
        future.wait()

@dynamic("fail_fast")
def one_fails():
    for future in [sleeper.submit(), failing.submit()]:
        future.wait()

@dynamic("fail_fast")
def raising():
    sleeper.submit()
    while [str(step.status) for step in last_run().steps.values()] != ["running"]:
        time.sleep(0.2)
    raise ValueError("a mistake in the pipeline")

if __name__ == "__main__":
    globals()[sys.argv[1]]()
"""

STATUSES_OF_ALL = """
run = last_run()
for name, step_run in sorted(run.steps.items()):
    print("STEP", name, step_run.status, step_run.exception_info and step_run.exception_info.message)
print("RUN", run.status)
"""


@pytest.fixture
def dynamic_project(simulated_project: Project) -> Project:
    """A project whose dynamic pipelines look at their steps twice a second; ZenML's default is every 10 seconds."""
    simulated_project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "0.5"
    return simulated_project


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_ends_the_jobs_of_a_dynamic_pipeline(
    number: signal.Signals, dynamic_project: Project, emulator: Emulator
) -> None:
    client = dynamic_project.start(DYNAMIC, "at_once")
    for _ in range(2):
        read_until(client, "simulated line")

    client.send_signal(number)

    assert_ended(rest_of(client), emulator, 2)
    assert client.returncode != 0
    told = dynamic_project.succeed(STATUSES_OF_ALL)
    assert told.count("stopped The Azure ML job of step") == 2
    assert told.count("was cancelled: the pipeline run was interrupted.") == 2
    assert "RUN failed" in told


def test_a_second_signal_leaves_no_step_of_a_dynamic_pipeline_running(
    dynamic_project: Project, emulator: Emulator
) -> None:
    dynamic_project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "30"  # ZenML does not see their ends
    client = dynamic_project.start(DYNAMIC, "at_once")
    for _ in range(2):
        read_until(client, "simulated line")

    client.send_signal(signal.SIGINT)
    eventually(lambda: [job.status for job in jobs_of(emulator)] == ["Canceled"] * 2, seconds=60)
    client.send_signal(signal.SIGINT)

    client.communicate(timeout=180)  # ZenML's monitor may sleep twice
    steps = dynamic_project.succeed(STATUSES_OF_ALL)
    assert steps.count("STEP sleeper") == 2
    assert " running" not in steps, steps


def test_a_job_that_azure_does_not_cancel_keeps_no_interrupted_process(
    dynamic_project: Project, emulator: Emulator
) -> None:
    refusal = {
        "method": "POST",
        "path": "/cancel",
        "status": 403,
        "times": 1000,
        "body": {"error": {"code": "Forbidden"}},
    }
    Arm(emulator).call("POST", "/_emulator/faults", refusal)
    client = dynamic_project.start(DYNAMIC, "at_once")
    for _ in range(2):
        read_until(client, "simulated line")

    client.send_signal(signal.SIGTERM)

    output = rest_of(client)
    for job in jobs_of(emulator):
        assert f"az ml job cancel --name {job.name}" in output
    assert " running" not in dynamic_project.succeed(STATUSES_OF_ALL)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_ends_the_job_of_a_step_that_a_dynamic_pipeline_waits_for(
    number: signal.Signals, dynamic_project: Project, emulator: Emulator
) -> None:
    client = dynamic_project.start(DYNAMIC, "one_after_the_other")
    read_until(client, "simulated line")

    client.send_signal(number)

    assert_ended(rest_of(client), emulator, 1)
    assert client.returncode != 0
    told = dynamic_project.succeed(STATUSES_OF_ALL)
    assert "STEP sleeper failed" in told
    assert "RUN failed" in told


@pytest.mark.parametrize(
    ("function", "steps"), [("one_after_the_other", 1), pytest.param("at_once", 2, marks=pytest.mark.long)]
)
def test_a_signal_ends_a_dynamic_pipeline_whose_steps_have_retries_left_without_another_job(
    function: str, steps: int, dynamic_project: Project, emulator: Emulator
) -> None:
    client = dynamic_project.start(DYNAMIC, function, "with retries")
    for _ in range(steps):
        read_until(client, "simulated line")

    client.send_signal(signal.SIGINT)

    assert_ended(rest_of(client), emulator, steps)
    assert client.returncode != 0
    (status,) = dynamic_project.succeed('print("RUN", last_run().status)').split("RUN ")[1:]
    assert status.strip() in ("stopped", "failed")


def test_a_signal_whose_exception_gets_lost_ends_the_job(dynamic_project: Project, emulator: Emulator) -> None:
    """Python drops an exception that a handler raises within a callback of C code; here the handler raises none."""
    deaf = DYNAMIC.replace(
        "import sys, time", "import signal, sys, time\nsignal.signal(signal.SIGINT, lambda *_: None)"
    )
    client = dynamic_project.start(deaf, "one_after_the_other")
    read_until(client, "simulated line")

    client.send_signal(signal.SIGINT)

    assert_ended(rest_of(client), emulator, 1)
    assert client.returncode != 0


@pytest.mark.parametrize("how", ["--graceful", pytest.param(None, marks=pytest.mark.long)])
def test_stopping_a_dynamic_run_from_elsewhere_ends_its_jobs(
    how: str | None, dynamic_project: Project, emulator: Emulator
) -> None:
    client = dynamic_project.start(DYNAMIC, "at_once")
    for _ in range(2):
        read_until(client, "simulated line")
    run = dynamic_project.succeed("print(last_run().name)").split()[-1]

    dynamic_project.zenml("pipeline", "runs", "stop", run, *([how] if how else []), "--yes")

    assert_ended(rest_of(client), emulator, 2)
    told = dynamic_project.succeed(STATUSES_OF_ALL)
    assert told.count("stopped None") + told.count("was cancelled: the run was stopped.") == 2
    assert "RUN stopped" in told


def test_a_step_that_fails_fast_ends_the_jobs_of_its_siblings(dynamic_project: Project, emulator: Emulator) -> None:
    client = dynamic_project.start(DYNAMIC, "one_fails")

    output = rest_of(client)

    assert sorted(job.status for job in jobs_of(emulator)) == ["Canceled", "Failed"], output
    told = dynamic_project.succeed(STATUSES_OF_ALL)
    assert "STEP failing failed The Azure ML job of step `failing` failed: its command ended with exit code 1." in told
    expected = (
        "STEP sleeper stopped The Azure ML job of step `sleeper` was cancelled: another step of the run has failed."
    )
    assert expected in told
    assert "RUN failed" in told


def test_an_exception_in_a_dynamic_pipeline_ends_its_jobs(dynamic_project: Project, emulator: Emulator) -> None:
    client = dynamic_project.start(DYNAMIC, "raising")

    output = rest_of(client)

    assert "a mistake" in output
    assert [job.status for job in jobs_of(emulator)] == ["Canceled"], output
    assert "RUN failed" in dynamic_project.succeed(STATUSES_OF_ALL)


def assert_ended(output: str, emulator: Emulator, number: int) -> None:
    jobs = jobs_of(emulator)
    assert [job.status for job in jobs] == ["Canceled"] * number, output
    for job in jobs:
        assert output.count(f"The Azure ML job `{job.name}` has ended: Canceled.") == 1, output
