"""`zenml-azureml jobs show | logs | open`: one job, from all that Azure ML tells of it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from zenml.client import Client

from tests.cli.conftest import Cli
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e import warm
from tests.e2e.conftest import azure_variables, zenml_variables
from tests.e2e.requests_of import requests_of
from zenml_azureml.cli import main

STEP_RUN = UUID("12345678-1234-1234-1234-123456789abc")
TAGS = {
    "zenml_pipeline": "training",
    "zenml_run": "training-1",
    "zenml_step": "trainer",
    "zenml_step_run_id": str(STEP_RUN),
    "zenml_server_id": "another",
}


def test_a_job_is_shown_with_where_it_ran_and_whose_it_was(cli: Cli) -> None:
    cli.submit("mine", tags=TAGS)

    lines = cli.run("jobs", "show", "mine").stdout.splitlines()

    told = {line[:11].strip(): line[13:] for line in lines}
    assert list(told) == [
        *("Job", "Name", "Status", "Pipeline", "Run", "Step", "Step run", "Experiment", "Compute", "Environment"),
        *("Submitted", "Started", "Ended", "Ran for", "Cost", "Workspace", "Studio"),
    ]
    assert (told["Job"], told["Status"], told["Run"], told["Step"]) == ("mine", "Completed", "training-1", "trainer")
    assert (told["Compute"], told["Environment"]) == ("serverless", "train:1")
    assert told["Started"].endswith(" UTC")
    assert told["Studio"].startswith(f"{cli.emulator.base_url}/runs/mine?wsid=/subscriptions/")


def test_a_table_shows_since_when_and_where_and_for_a_run_what_it_cost(cli: Cli) -> None:
    cli.submit("mine", tags=TAGS | {"zenml_usd_per_hour_all_nodes": "3600"})
    began = cli.json("jobs", "show", "mine")["started_at"]

    heading, row = cli.run("jobs", "list", "--all").stdout.splitlines()
    with_cost, job, total = cli.run("jobs", "list", "--all", "--run", "training-1").stdout.splitlines()

    assert heading.split() == ["Job", "Status", "Since", "Where", "Step", "Run", "Step", "run", "Orphan"]
    assert row.split()[:6] == ["mine", "Completed", *began[:19].split("T"), "UTC", "serverless"]
    assert with_cost.split()[:5] == ["Job", "Status", "Since", "Where", "USD"]
    assert re.fullmatch(r"mine +Completed +\S+ \S+ UTC +serverless +[0-9.]+ +trainer +training-1 *", job)
    assert "USD" in total


@pytest.fixture(scope="session")
def zenml_database() -> None:
    """ZenML's database, made: a thread of an earlier test may be making it still."""

    def is_made() -> bool:
        try:
            return bool(Client().zen_store)
        except RuntimeError:
            return False

    eventually(is_made, seconds=60, pause=1)


@pytest.mark.usefixtures("zenml_database")
@pytest.mark.parametrize("run", ["training-2", "training", str(STEP_RUN), "Training-1"])
def test_a_run_that_is_unknown_is_an_error(run: str, cli: Cli) -> None:
    cli.submit("mine", tags=TAGS)

    for options in ([], ["--all"], ["--json"], ["--orphans"]):
        result = cli.run("jobs", "list", "--run", run, *options, code=1)

        assert result.stdout == ""
        assert f"The ZenML server has no run `{run}`, and there is no job of it in the workspace `emulator`." in (
            result.stderr
        )


def test_a_list_for_programs_names_the_operator_that_made_the_job(cli: Cli) -> None:
    cli.submit("mine", tags={**TAGS, "zenml_step_operator": "gpus"})
    cli.submit("older", tags=TAGS)

    told = {job["job"]: job["operator"] for job in cli.json("jobs", "list", "--all")}

    assert told == {"mine": "gpus", "older": None}


def test_a_job_is_found_by_the_id_of_its_step_run(cli: Cli) -> None:
    cli.submit(f"zenml-{STEP_RUN}", tags=TAGS)

    assert cli.json("jobs", "show", str(STEP_RUN))["job"] == f"zenml-{STEP_RUN}"
    assert cli.json("jobs", "open", str(STEP_RUN).upper())["job"] == f"zenml-{STEP_RUN}"


def test_a_job_that_failed_is_shown_with_its_cause_and_what_to_do(cli: Cli) -> None:
    cli.submit("broken", status="Failed", exit_code="137", line="about to end")

    shown = cli.run("jobs", "show", "broken").stdout
    told = cli.json("jobs", "show", "broken")

    assert told["failure"]["what"] == (
        "The Azure ML job `broken` failed: it was killed (SIGKILL), most likely because the node ran out of memory."
    )
    assert told["failure"]["azure_says"].startswith("Execution failed. User process ")
    assert "about to end" in told["failure"]["log_tail"]
    assert f"Next steps: {told['failure']['do_next']}" in shown
    assert told["failure"]["what"] in shown
    assert (told["status"], told["ended"], told["environment"], told["nodes"]) == ("Failed", True, "train:1", 1)


def test_a_job_that_did_not_fail_has_no_failure(cli: Cli) -> None:
    cli.submit("mine", status="Running", seconds="3600")

    told = cli.json("jobs", "show", "mine")

    assert (told["status"], told["ended"], told["ended_at"], told["failure"]) == ("Running", False, None, None)


def test_a_job_is_shown_also_where_run_history_does_not_answer(cli: Cli) -> None:
    cli.submit("mine")
    Arm(cli.emulator).call("POST", "/_emulator/faults", {"path": "/history/", "status": 503, "times": 9})

    result = cli.run("jobs", "show", "mine", "--json")

    assert json.loads(result.stdout)["started_at"] is None


@pytest.mark.parametrize("command", ["show", "logs", "open"])
def test_a_job_that_is_not_there_is_named_with_where_it_was_looked_for(command: str, cli: Cli) -> None:
    result = cli.run("jobs", command, "missing", code=1)

    assert result.stderr == (
        "Error: There is no job `missing` in the workspace `emulator`.\n"
        "Next steps: To list the jobs: `zenml-azureml jobs list --all`.\n"
    )


def test_the_whole_log_is_printed_or_its_end(cli: Cli) -> None:
    cli.submit("mine", lines="5", line="line {number}")

    assert cli.run("jobs", "logs", "mine").stdout == "".join(f"line {number}\n" for number in range(1, 6))
    assert cli.run("jobs", "logs", "mine", "--lines", "2").stdout == "line 4\nline 5\n"
    printed = cli.run("jobs", "logs", "mine", "-n", "1", "--json").stdout
    assert json.loads(printed) == {"job": "mine", "line": "line 5"}


@pytest.mark.parametrize("command", [["logs", "mine"], ["logs", "mine", "--follow"], ["list", "--all"]])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252:strict"])  # Click writes UTF-8 if it is ASCII
def test_what_stdout_cannot_encode_is_replaced(command: list[str], encoding: str, cli: Cli, tmp_path: Path) -> None:
    cli.submit("mine", lines="1", line="50 % \u2588\u2588 done", tags={**TAGS, "zenml_step": "\u2588\u2588 done"})
    program = [str(Path(sys.executable).parent / "zenml-azureml"), "jobs", *command, *cli.where()]
    environment = {**zenml_variables(tmp_path), **azure_variables(cli.emulator), "PYTHONIOENCODING": encoding}
    stdout, stderr = tmp_path / "stdout", tmp_path / "stderr"

    with stdout.open("wb") as out, stderr.open("wb") as err:
        code = warm.ForkedProcess(program, environment, tmp_path, out.fileno(), err.fileno()).wait(timeout=120)

    assert (code, stderr.read_bytes().count(b"Traceback")) == (0, 0), stderr.read_bytes()
    assert b"?? done" in stdout.read_bytes()


def test_a_log_is_followed_to_the_end_of_the_job(cli: Cli) -> None:
    job = cli.submit("mine", status="Running", seconds="3600", lines="0")

    def end() -> None:
        eventually(lambda: any("/history/" in request["path"] for request in requests_of(cli.emulator)))
        with (job.log_folder / "std_log.txt").open("a") as log:
            log.write("first\nlast, without an end")
        cli.client.jobs.begin_cancel("mine").result()

    thread = threading.Thread(target=end)
    thread.start()
    result = cli.run("jobs", "logs", "--follow", "mine")
    thread.join()

    assert result.stdout == "first\nlast, without an end\n"
    assert result.stderr.endswith("The Azure ML job `mine` has ended: Canceled.\n")


def test_ctrl_c_ends_the_following_and_not_the_job(cli: Cli, tmp_path: Path) -> None:
    job = cli.submit("mine", status="Running", seconds="3600", lines="1", line="under way")
    command = [str(Path(sys.executable).parent / "zenml-azureml"), "jobs", "logs", "--follow", "mine", *cli.where()]
    # A ZenML of its own: interrupted while it makes its database, it would leave a broken one to other tests.
    environment = {**zenml_variables(tmp_path), **azure_variables(cli.emulator)}
    following = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert following.stdout is not None
    assert following.stdout.readline() == "under way\n"

    following.send_signal(signal.SIGINT)

    more, told = following.communicate(timeout=60)
    assert (following.returncode, more) == (130, "")
    assert told.endswith("The job keeps running. To cancel it: zenml-azureml jobs cancel mine\n")
    assert "Traceback" not in told
    assert job.status == "Running"


def test_a_log_is_followed_or_cut_off_not_both() -> None:
    result = CliRunner().invoke(main, ["jobs", "logs", "mine", "--follow", "--lines", "3"])

    assert result.exit_code == 2
    assert "--follow and --lines cannot be combined." in result.output


def test_studio_is_opened_in_the_browser_unless_only_the_address_is_wanted(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = cli.submit("mine")
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))

    printed = cli.run("jobs", "open", "mine", "--print").stdout
    told = cli.json("jobs", "open", "mine")
    assert not opened.exists()
    result = cli.run("jobs", "open", job.name)

    assert printed == result.stdout
    assert printed.startswith(f"{cli.emulator.base_url}/runs/mine?wsid=/subscriptions/")
    assert told == {"job": "mine", "studio_url": printed.strip()}
    assert opened.read_text() == printed


def test_programs_are_told_what_became_of_each_job_that_was_cancelled(cli: Cli) -> None:
    cli.submit("running", status="Running", seconds="3600")
    cli.submit("finished")

    result = cli.run("jobs", "cancel", "running", "finished", "missing", "--yes", "--json", code=1)

    told = json.loads(result.stdout)
    assert {entry["job"]: (entry["status"], entry["ended"]) for entry in told} == {
        "running": ("Canceled", True),
        "finished": ("Completed", True),
        "missing": (None, None),
    }
    assert [entry["problem"] for entry in told if entry["problem"]] == [
        "There is no job `missing` in the workspace `emulator`."
    ]


def test_a_program_is_not_asked() -> None:
    result = CliRunner().invoke(main, ["jobs", "cancel", "mine", "--json"])

    assert (result.exit_code, "--json requires --yes, because" in result.output) == (2, True)
