"""The watcher beside a step, with real processes: what it ends, and what it leaves alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.waiting import eventually
from tests.unit.in_job.answering import PARENT, RUN, STEP_RUN, Answering, answering, entity, page
from zenml_azureml.contract.own_end import EXIT_CODES, reason_in
from zenml_azureml.in_job.watcher.step_process import process_with

IN_JOB = (sys.executable, "-m", "zenml_azureml.in_job")

#: A step that runs until it is ended.
FOREVER = ("sleep", "3600")


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering() as server:
        server.step_is("running")
        yield server


def start(server: Answering, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Start a step with a watcher."""
    return subprocess.Popen(
        [*IN_JOB, *command],
        env={"PATH": "/usr/bin:/bin", **server.variables(**variables)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", textwrap.dedent(code)


def reason_of(errors: str) -> str:
    reasons = [reason for line in errors.splitlines() if (reason := reason_in(line))]
    assert len(reasons) == 1, errors
    return reasons[0]


def watchers_of(server: Answering) -> list[int]:
    """The processes that have the address of this server in their environment, and are no step."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                environment, name = (folder / "environ").read_bytes(), (folder / "comm").read_text().strip()
            except OSError:
                continue
            if server.url.encode() in environment and name == "zenml-watcher":
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("status", ["retried", "stopping", "stopped", "cancelling", "cancelled"])
def test_a_step_that_is_over_ends_with_a_line_and_an_exit_code_of_its_own(server: Answering, status: str) -> None:
    step = start(server, *FOREVER)
    server.wait_for(2)
    assert step.poll() is None
    server.step_is(status)

    _, errors = step.communicate(timeout=60)

    assert step.returncode in EXIT_CODES
    assert reason_of(errors) == f"its step run is {status}"
    assert watchers_of(server) == []


def test_a_shell_sees_the_same_exit_code_as_azure_does(server: Answering) -> None:
    server.step_is("stopped")
    command = f"{sys.executable} -m zenml_azureml.in_job sleep 3600; echo code $?"
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        env={"PATH": "/usr/bin:/bin", **server.variables()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert f"code {max(EXIT_CODES)}" in done.stdout


def test_two_answers_in_a_row_are_asked_for(server: Answering) -> None:
    server.step_is("stopped")
    step = start(server, *FOREVER)
    step.communicate(timeout=60)

    assert [(method, path) for method, path, _, _ in server.asked] == [("GET", f"/api/v1/steps/{STEP_RUN}")] * 2
    assert {query for _, _, query, _ in server.asked} == {"hydrate=false"}


@pytest.mark.parametrize(
    "variables", [{"ZENML_AZUREML_JOB_RUN_MODE": "fail_fast"}, {"ZENML_AZUREML_JOB_RUN_MODE": "dynamic"}]
)
def test_the_run_ends_it_too(server: Answering, variables: dict[str, str]) -> None:
    server.step_is("running", run="failed")
    server.answers["steps"] = 200, page(entity("x", "failed"))
    step = start(server, *FOREVER, **variables)

    _, errors = step.communicate(timeout=60)

    assert reason_of(errors).startswith("its run is failed")


def test_the_parent_of_its_run_ends_it_too(server: Answering) -> None:
    server.answers[f"runs/{PARENT}"] = 200, entity(PARENT, "stopping")
    step = start(server, *FOREVER, ZENML_AZUREML_JOB_PARENT_RUN_IDS=PARENT)

    _, errors = step.communicate(timeout=60)

    assert reason_of(errors) == "the parent of its run is stopping"


def test_a_sibling_of_a_failed_step_keeps_running(server: Answering) -> None:
    server.step_is("running", run="failed")
    server.answers["steps"] = 200, page(entity("x", "failed"))
    step = start(server, *FOREVER, ZENML_AZUREML_JOB_RUN_MODE="continue_on_failure")
    server.wait_for(15)

    assert step.poll() is None
    step.kill()
    step.communicate()


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"detail": "expired"}),
        (403, {"detail": "no"}),
        (404, {"detail": "no such step run"}),
        (500, "Internal Server Error"),
        (503, "<html>down</html>"),
        (200, "<html>Sign in</html>"),
        (200, entity(PARENT, "stopped")),
    ],
)
def test_what_is_no_answer_ends_nothing_and_is_said_once(server: Answering, answer: tuple[int, Any]) -> None:
    server.answers[f"steps/{STEP_RUN}"] = answer
    step = start(server, *FOREVER, ZENML_AZUREML_JOB_STOP_CHECK_SECONDS="0.05")
    server.wait_for(10)
    assert step.stderr is not None
    line = next(line for line in iter(step.stderr.readline, "") if line.strip())
    # What it says later counts no more.
    server.step_is("stopped")

    assert step.poll() is None
    step.kill()
    output, errors = step.communicate(timeout=60)
    assert "The ZenML server has not answered 10 times in a row" in line
    assert "The step keeps running." in line
    assert "token" not in line
    assert output + errors.strip() == ""
    assert step.returncode == -signal.SIGKILL
    assert len(server.asked) == 10


def test_a_handler_of_sigterm_gets_its_time(server: Answering) -> None:
    server.step_is("stopped")
    step = start(
        server,
        *python(
            """
            import signal, sys, time
            def save(*_):
                time.sleep(1)
                print("saved", flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, save)
            while True:
                time.sleep(60)
            """
        ),
    )

    output, errors = step.communicate(timeout=60)

    assert output == "saved\n"
    assert reason_of(errors) == "its step run is stopped"
    assert step.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, 50], ids=["sigterm ignored", "own signal ignored"])
def test_a_step_that_ignores_signals_ends_all_the_same(server: Answering, number: int) -> None:
    server.step_is("stopped")
    code = f"import signal, time\nsignal.signal({int(number)}, signal.SIG_IGN)\nwhile True: time.sleep(60)"
    step = start(server, *python(code))

    _, errors = step.communicate(timeout=60)

    assert step.returncode in ({-signal.SIGKILL} if number == 50 else EXIT_CODES)
    assert reason_of(errors) == "its step run is stopped"


def test_the_descendants_of_the_step_end_too(server: Answering) -> None:
    step = start(
        server,
        *python(
            """
            import subprocess, sys, time
            command = ["sh", "-c", "setsid sleep 3600 & echo $!; trap '' TERM; wait"]
            child = subprocess.Popen(command, stdout=subprocess.PIPE)
            print(child.pid, child.stdout.readline().decode().strip(), flush=True)
            time.sleep(3600)
            """
        ),
    )
    assert step.stdout is not None
    descendants = [process_with(int(pid)) for pid in step.stdout.readline().split()]
    assert len(descendants) == 2
    assert all(process is not None and process.lives() for process in descendants)
    server.step_is("stopped")

    step.communicate(timeout=60)

    assert eventually(lambda: not any(process is not None and process.lives() for process in descendants))


def test_the_line_begins_a_line_of_its_own(server: Answering) -> None:
    step = start(server, *python("import sys, time; sys.stderr.write('50 %'); sys.stderr.flush(); time.sleep(3600)"))
    server.wait_for(1)
    server.step_is("stopped")

    _, errors = step.communicate(timeout=60)

    assert re.search(r"^zenml-azureml: ", errors, re.MULTILINE)
    assert errors.startswith("50 %\n")


def test_a_log_that_nobody_reads_does_not_keep_a_step_from_ending(server: Answering) -> None:
    server.step_is("stopped")
    step = start(server, "sh", "-c", "yes >&2")  # fills the pipe, and waits

    step.wait(timeout=60)

    assert step.returncode in EXIT_CODES
    assert step.stdout is not None
    assert step.stderr is not None
    step.stdout.close()
    step.stderr.close()


def test_only_one_of_a_nodes_ranks_asks_and_all_end(server: Answering, tmp_path: Path) -> None:
    node = {"ZENML_AZUREML_JOB_SHARED_NODE": "1", "TMPDIR": str(tmp_path), "AZUREML_RUN_ID": "zenml-1"}
    ranks = [start(server, *FOREVER, **node, ZENML_AZUREML_JOB_STOP_CHECK_SECONDS="1") for _ in range(4)]
    server.wait_for(6)  # of three polls
    # The one that asks ends first: another one asks in its place.
    server.step_is("stopped")

    ends = [rank.communicate(timeout=60)[1] for rank in ranks]

    assert [reason_of(errors) for errors in ends] == ["its step run is stopped"] * 4
    assert {rank.returncode for rank in ranks} <= EXIT_CODES
    assert len(server.asked) <= 12


def test_a_rank_asks_when_the_one_that_asked_has_ended(server: Answering, tmp_path: Path) -> None:
    node = {"ZENML_AZUREML_JOB_SHARED_NODE": "1", "TMPDIR": str(tmp_path), "AZUREML_RUN_ID": "zenml-1"}
    first = start(server, *FOREVER, **node)
    server.wait_for(2)
    second = start(server, *FOREVER, **node)
    first.kill()
    first.communicate()
    server.step_is("stopped")

    _, errors = second.communicate(timeout=60)

    assert reason_of(errors) == "its step run is stopped"


@pytest.mark.parametrize("seconds", ["0", "", "-1", "soon"])
def test_it_can_be_switched_off(server: Answering, seconds: str) -> None:
    step = start(server, "sh", "-c", "echo; exec sleep 3600", ZENML_AZUREML_JOB_STOP_CHECK_SECONDS=seconds)
    assert step.stdout is not None
    step.stdout.readline()

    assert watchers_of(server) == []
    step.kill()
    step.communicate()


def test_no_watcher_where_no_server_can_be_asked(server: Answering) -> None:
    step = start(server, "sh", "-c", "echo; exec sleep 3600", ZENML_STORE_URL="sqlite:////zenml.db")
    assert step.stdout is not None
    step.stdout.readline()

    assert watchers_of(server) == []
    step.kill()
    step.communicate()


def test_a_watcher_that_cannot_be_started_is_said_and_the_step_runs(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from zenml_azureml.in_job import __main__\n"
        "def refuse(): raise OSError(11, 'Resource temporarily unavailable')\n"
        "os.fork = refuse\n"
        "sys.exit(__main__.main(['sh', '-c', 'exit 7'], os.environ))"
    )
    variables = Answering("http://127.0.0.1:1").variables(PATH="/usr/bin:/bin")
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)

    assert done.returncode == 7
    assert "This job cannot check whether its step is over" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_environment_of_the_step_has_nothing_of_it(server: Answering) -> None:
    step = start(server, "env", ZENML_AZUREML_JOB_RUN_MODE="dynamic")
    output, _ = step.communicate(timeout=60)

    assert "ZENML_AZUREML_JOB" not in output
    assert f"ZENML_STORE_URL={server.url}" in output
    assert os.environ.get("ZENML_STORE_URL") != server.url
    assert RUN not in output
