"""ZenML's server is away while a job begins or ends: what survives, what is shown, and what repairs the rest.

The server is a real process that is stopped or killed. Time is sixty times as fast for the operator, and ZenML's
client does not pause between its own attempts.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import PRELUDE, REGISTER_STACK, Project, azure_variables, zenml_variables
from tests.e2e.killed import ask, database, jobs_of, read_until, statuses
from tests.e2e.requests_of import requests_of
from tests.e2e.zenml_server import ZenMLServer, zenml_server
from zenml_azureml.emulator import Emulator, WorkspaceName

#: Sixty minutes of the operator's are one of the machine's.
SCALED = (
    PRELUDE
    + """
import threading, time
import urllib3.util.retry
from zenml_azureml.step_operator import AzureMLStepOperator

class Scaled:
    def monotonic(self):
        return time.monotonic() * 60
    def sleep(self, seconds):
        time.sleep(seconds / 60)
    def wait(self, event, seconds):
        return event.wait(None if seconds is None else seconds / 60)

AzureMLStepOperator.time = Scaled()
urllib3.util.retry.Retry.get_backoff_time = lambda self: 0.02
SETTINGS = AzureMLStepOperatorSettings(max_unreachable_minutes=MINUTES)
"""
)

#: Ten minutes of the machine's: a server takes its time to start on a busy one.
PATIENT = SCALED.replace("MINUTES", "600")
#: Two minutes: two seconds of the machine's.
IMPATIENT = SCALED.replace("MINUTES", "2")

STATIC = """
@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml", settings={"step_operator": SETTINGS})()

if __name__ == "__main__":
    static()
"""

DYNAMIC = """
sleeper = CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml", settings={"step_operator": SETTINGS})

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[sleeper])
def dynamic():
    sleeper()

if __name__ == "__main__":
    dynamic()
"""

#: Its runner does not wait for the step, but polls the step's status.
POLLED = DYNAMIC.replace("    sleeper()\n", "    sleeper.submit()\n")

RUNNING = "[sleeper] simulated line"
RETRYING = "ZenML's server is unavailable"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZenMLServer]:
    with zenml_server(tmp_path_factory.mktemp("server") / "zenml", Path(sys.executable)) as server:
        yield server


@pytest.fixture(scope="module")
def signed_in(server: ZenMLServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """The variables of a client of the server, and its configuration: a stack for all tests of this file is active."""
    variables = server.client_variables()
    folder = tmp_path_factory.mktemp("client")
    project = Project(folder, {**zenml_variables(folder), **variables, "AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"})
    workspace = WorkspaceName()
    address = (workspace.subscription_id, workspace.resource_group, workspace.name)
    project.succeed(REGISTER_STACK, str(folder / "artifacts"), *address, prelude="")
    return variables, folder / "zenml" / "config.yaml"


@pytest.fixture
def away(
    tmp_path: Path, server: ZenMLServer, signed_in: tuple[dict[str, str], Path], emulator: Emulator
) -> Iterator[Project]:
    """A project whose jobs are simulated and last until they are ended; its server answers again after the test."""
    emulator.context.settings.simulated_seconds = 3600
    folder = tmp_path / "project"
    folder.mkdir()
    variables = {"ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL": "0.5"}
    client, configuration = signed_in
    environment = {**zenml_variables(tmp_path), **client, **azure_variables(emulator), **variables}
    (tmp_path / "zenml").mkdir()
    shutil.copy(configuration, tmp_path / "zenml")
    yield Project(folder, environment)
    server.resume()


def strike(emulator: Emulator, scenario: str) -> None:
    """Have the running job fail now."""
    answer = Arm(emulator).call("POST", "/_emulator/scenario", {"name": scenario, "now": True})
    assert answer.status < 300, answer.text


def ended(emulator: Emulator, status: str) -> bool:
    return [job.status for job in jobs_of(emulator)] == [status]


def last_run(server: ZenMLServer) -> tuple[str, str, str]:
    """The status of the last run and of its step, and the message of the step's failure, as the server has them."""
    (run,) = server.get("runs", sort_by="desc:created", size="1")["items"]
    (step,) = server.get("steps", pipeline_run_id=run["id"], project="default")["items"]
    step = server.get(f"steps/{step['id']}")
    failure = (step["metadata"] or {}).get("exception_info") or {}
    return run["body"]["status"], step["body"]["status"], failure.get("message") or ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("script", "how"),
    [
        pytest.param(STATIC, "suspended", id="static-suspended"),
        pytest.param(DYNAMIC, "restarted", id="dynamic-restarted", marks=pytest.mark.long),
        pytest.param(STATIC, "restarted", id="static-restarted", marks=pytest.mark.long),
        pytest.param(DYNAMIC, "suspended", id="dynamic-suspended", marks=pytest.mark.long),
    ],
)
def test_the_cause_survives_a_server_that_comes_back(
    how: str, script: str, away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    client = away.start(script, prelude=PATIENT)
    said = read_until(client, RUNNING)
    if how == "suspended":
        server.suspend()
    else:
        server.kill()
    strike(emulator, "out-of-memory")
    eventually(lambda: ended(emulator, "Failed"), seconds=60)
    if how == "suspended":
        time.sleep(3)  # three minutes of the operator's
        server.resume()
    else:
        said += read_until(client, RETRYING)
        server.start()
    rest, _ = client.communicate(timeout=300)

    run, step, message = last_run(server)
    assert (run, step) == ("failed", "failed"), said + rest
    assert "memory" in message
    assert "jobs wait" not in said + rest


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_completed_step_is_completed_when_the_server_comes_back(
    away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 5
    client = away.start(STATIC, prelude=PATIENT)
    said = read_until(client, RUNNING)
    server.kill()
    said += read_until(client, RETRYING)
    assert ended(emulator, "Completed")
    server.start()
    rest, _ = client.communicate(timeout=300)

    assert client.returncode == 0, said + rest
    assert last_run(server)[:2] == ("completed", "completed")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", [STATIC, pytest.param(DYNAMIC, marks=pytest.mark.long)], ids=["static", "dynamic"])
def test_a_server_that_stays_away_leaves_the_cause_and_one_command_that_repairs_the_state(
    script: str, away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    client = away.start(script, prelude=IMPATIENT)
    said = read_until(client, RUNNING)
    server.kill()
    strike(emulator, "out-of-memory")
    rest, _ = client.communicate(timeout=300)
    output = said + rest
    (job,) = jobs_of(emulator)

    assert client.returncode == 1, output
    command = f"zenml-azureml jobs wait {job.name}"
    assert "The Azure ML job of step `sleeper` failed: " in output
    assert "memory" in output
    assert "ZenML's server was unavailable for 2 minutes" in output
    assert f"  {command}\n" in output
    # ZenML logs one traceback of a failed step of a static pipeline; there is none behind it, and none of its requests.
    assert output.count("Traceback (most recent call last)") == (1 if script == STATIC else 0), output
    assert output.rstrip().endswith(command), output

    server.start()
    assert last_run(server)[:2] == ("running", "running")
    listed = away.azureml("jobs", "list")
    assert "ended, ZenML does not know" in listed.stdout, listed.stdout + listed.stderr
    assert command in listed.stdout
    (as_json,) = json.loads(away.azureml("jobs", "list", "--json").stdout)
    assert (as_json["job"], as_json["ended"], as_json["step_run_status"]) == (job.name, True, "running")
    assert as_json["reason"] == "ended, ZenML does not know"

    repaired = away.azureml(*command.split()[1:], "--patience", "0")
    assert repaired.returncode == 1, repaired.stdout + repaired.stderr
    run, step, message = last_run(server)
    assert (run, step) == ("failed", "failed")
    assert "memory" in message
    assert "No unfinished jobs." in away.azureml("jobs", "list").stdout


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_polled_step_shows_the_same_and_is_concluded_when_the_server_is_back_at_last(
    away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    client = away.start(POLLED, prelude=IMPATIENT)
    said = read_until(client, RUNNING)
    server.suspend()
    strike(emulator, "out-of-memory")
    said += read_until(client, "  zenml-azureml jobs wait zenml-")
    server.resume()
    rest, _ = client.communicate(timeout=300)

    assert "The Azure ML job of step `sleeper` failed: " in said
    assert "memory" in said
    run, step, message = last_run(server)
    assert (run, step) == ("failed", "failed"), said + rest
    assert "memory" in message


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "script",
    [STATIC, pytest.param(DYNAMIC, marks=pytest.mark.long), pytest.param(POLLED, marks=pytest.mark.long)],
    ids=["static", "dynamic", "polled"],
)
def test_a_signal_cancels_the_job_although_the_server_does_not_answer(
    script: str, away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    client = away.start(script, prelude=IMPATIENT)
    read_until(client, RUNNING)
    server.suspend()
    time.sleep(3)  # requests to the server are under way
    client.send_signal(signal.SIGINT)
    eventually(lambda: ended(emulator, "Canceled"), seconds=60)  # a request may take ZenML's client four minutes
    server.resume()
    client.communicate(timeout=300)


@pytest.mark.timeout(900)
def test_a_job_whose_submit_the_server_does_not_see_is_saved_when_it_is_back(
    away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 2, "times": 1})
    client = away.start(STATIC, prelude=PATIENT)
    eventually(lambda: jobs_of(emulator), seconds=120)
    server.kill()
    said = read_until(client, RETRYING)
    server.start()
    said += read_until(client, RUNNING)
    emulator_jobs = jobs_of(emulator)
    strike(emulator, "out-of-memory")
    rest, _ = client.communicate(timeout=300)

    assert len(emulator_jobs) == 1
    assert last_run(server)[:2] == ("failed", "failed"), said + rest
    puts = [asked for asked in requests_of(emulator) if asked["method"] == "PUT" and "/jobs/" in asked["path"]]
    assert len(puts) == 1


@pytest.mark.timeout(900)
def test_a_job_whose_submit_the_server_never_sees_is_ended_and_the_command_repairs_the_state(
    away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 2, "times": 1})
    client = away.start(STATIC, prelude=IMPATIENT)
    (job,) = eventually(lambda: jobs_of(emulator), seconds=120)
    server.kill()
    output, _ = client.communicate(timeout=300)

    assert client.returncode == 1, output
    assert ended(emulator, "Canceled")
    command = f"zenml-azureml jobs wait {job.name}"
    assert output.rstrip().endswith(command), output
    server.start()
    repaired = away.azureml(*command.split()[1:], "--patience", "0")
    assert last_run(server)[1] in ("stopped", "failed"), repaired.stdout + repaired.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_the_retries_and_the_command_is_shown(
    number: int, away: Project, server: ZenMLServer, emulator: Emulator
) -> None:
    client = away.start(STATIC, prelude=PATIENT)
    said = read_until(client, RUNNING)
    server.kill()
    strike(emulator, "out-of-memory")
    said += read_until(client, RETRYING)
    client.send_signal(number)
    rest, _ = client.communicate(timeout=120)  # of ten minutes that the server could be away

    (job,) = jobs_of(emulator)
    assert client.returncode != 0
    assert f"  zenml-azureml jobs wait {job.name}\n" in said + rest
    server.start()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_expired_session_is_waited_for(away: Project, server: ZenMLServer, emulator: Emulator) -> None:
    client = away.start(STATIC, prelude=PATIENT)
    said = read_until(client, RUNNING)
    server.set_accounts_active(active=False)
    strike(emulator, "out-of-memory")
    said += read_until(client, RETRYING)
    server.set_accounts_active(active=True)
    rest, _ = client.communicate(timeout=300)

    run, step, message = last_run(server)
    assert (run, step) == ("failed", "failed"), said + rest
    assert "memory" in message


@pytest.mark.timeout(900)
def test_a_locked_database_is_waited_for(simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600
    short = "import sqlite3\nconnect = sqlite3.connect\n"
    short += "sqlite3.connect = sqlite3.dbapi2.connect = lambda *a, **o: connect(*a, **{**o, 'timeout': 0.1})\n"
    client = simulated_project.start(STATIC, prelude=short + PATIENT)
    said = read_until(client, RUNNING)
    with database(simulated_project) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN EXCLUSIVE")
        strike(emulator, "out-of-memory")
        said += read_until(client, RETRYING)
    rest, _ = client.communicate(timeout=300)

    assert statuses(simulated_project) == "failed failed", said + rest
    failure = ask(simulated_project, "print(last_run().steps['sleeper'].exception_info.message)")
    assert "memory" in failure
