"""What runs in a job before its step, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from zenml_azureml.contract.commands import prepared
from zenml_azureml.contract.variables import VAULT_SECRET

BEFORE_STEP = (sys.executable, "-m", "zenml_azureml.in_job")


def start(*command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a step's command with its preparation before it."""
    return subprocess.Popen(
        [*BEFORE_STEP, *command],
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*command: str, **environment: str) -> tuple[int, str, str]:
    """Run it to its end; exit code, stdout and stderr."""
    process = start(*command, **environment)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_the_step_has_its_arguments_and_exit_code() -> None:
    code, output, errors = run("sh", "-c", 'echo "$2"; exit $1', "sh", "7", "two  words", ONE="1")

    assert (code, output, errors) == (7, "two  words\n", "")


def test_the_step_takes_the_place_of_what_prepares_it() -> None:
    process = start("sh", "-c", "echo $$; exec sleep 60")
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == -signal.SIGTERM


def test_the_step_sees_none_of_the_variables_that_say_what_to_prepare() -> None:
    _, output, _ = run(
        *(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"),
        MINE="kept",
        ZENML_AZUREML_JOB_VAULT_SECRET="",
    )

    environment = json.loads(output)
    assert environment["MINE"] == "kept"
    assert [name for name in environment if name.startswith("ZENML_AZUREML_JOB_")] == []


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ((), 2, "There is no command"),
        (("no-such-program",), 127, "There is no program `no-such-program` in the image."),
        (("/etc",), 126, "`/etc` cannot be executed: Permission denied."),
    ],
)
def test_a_command_that_cannot_be_run_is_told_in_one_line(command: tuple[str, ...], code: int, words: str) -> None:
    returned, _, errors = run(*command)

    assert returned == code
    assert errors.startswith(f"zenml-azureml: {words}")
    assert errors.count("\n") == 1


def test_nothing_but_the_standard_library_and_this_package_is_imported() -> None:
    code = "import sys, zenml_azureml.in_job.__main__; print([m for m in sys.modules if m.partition('.')[0] in "
    code += "('zenml', 'azure', 'pydantic', 'requests')])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_only_a_job_that_has_something_to_prepare_is_prepared() -> None:
    assert prepared("python train.py", {"PATH": "/bin"}) == "python train.py"
    in_vault = {"PATH": "/bin", VAULT_SECRET: "https://v"}
    assert prepared("python train.py", in_vault) == "python -m zenml_azureml.in_job python train.py"
