"""Which jobs check by themselves whether their step is over, and what they are given for it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from zenml.client import Client
from zenml.enums import ExecutionMode, ExecutionStatus
from zenml.models import PipelineRunResponse

from tests.unit.in_job.answering import RUN, STEP_RUN
from zenml_azureml.contract import variables
from zenml_azureml.contract.commands import NO_WATCHER, prepared, unprepared
from zenml_azureml.contract.variables import DYNAMIC, IN_FAILED_RUN
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.in_job.watcher.loop import interval_seconds, watched_step
from zenml_azureml.run_store import step_runs
from zenml_azureml.secrets.classification import secret_names
from zenml_azureml.secrets.redaction import REDACTED, redacted_variables
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.specs.job import JobDistribution, JobOptions
from zenml_azureml.submission.stop_variables import run_mode_for, run_mode_of, stop_variables

REST = {"ZENML_STORE_TYPE": "rest", "ZENML_STORE_URL": "https://zenml.example.com"}


def given(options: JobOptions, environment: dict[str, str] | None = None, mode: str = "fail_fast") -> dict[str, str]:
    return stop_variables(STEP_RUN, RUN, mode, REST if environment is None else environment, options)


def test_what_the_operator_gives_is_what_the_watcher_reads() -> None:
    found = given(JobOptions(stop_check_seconds=2.5))
    step = watched_step({**REST, **found})

    assert step is not None
    assert (step.step_run_id, step.run_id, step.mode, step.parent_run_ids) == (STEP_RUN, RUN, "fail_fast", ())
    assert interval_seconds(found) == 2.5
    assert all(name.startswith(variables.PREFIX) for name in found)


def test_jobs_with_several_processes_have_watchers_that_share_a_node() -> None:
    pytorch = JobOptions(stop_check_seconds=60, distribution=JobDistribution("pytorch", process_count_per_instance=4))

    assert given(pytorch)[variables.SHARED_NODE] == "1"
    assert variables.SHARED_NODE not in given(JobOptions(stop_check_seconds=60))


@pytest.mark.parametrize(
    "environment", [{}, {"ZENML_STORE_URL": "sqlite:////zenml.db"}, {"ZENML_STORE_URL": "mysql://u@h/zenml"}]
)
def test_jobs_without_a_server_get_nothing(environment: dict[str, str]) -> None:
    assert given(JobOptions(stop_check_seconds=60), environment) == {}


def test_it_can_be_switched_off_and_is_on_by_default() -> None:
    assert AzureMLStepOperatorSettings().stop_check_seconds == 60
    assert given(JobOptions(stop_check_seconds=0)) == {}
    with pytest.raises(AzureMLSettingsError, match="stop_check_seconds"):
        AzureMLStepOperatorSettings(stop_check_seconds=-1)


@pytest.mark.parametrize("mode", ExecutionMode)
def test_the_mode_of_a_static_run(mode: ExecutionMode) -> None:
    snapshot = SimpleNamespace(is_dynamic=False, pipeline_configuration=SimpleNamespace(execution_mode=mode))

    assert run_mode_of(snapshot) == mode.value  # type: ignore[arg-type]


def test_the_mode_of_a_dynamic_run_and_of_a_zenml_without_modes() -> None:
    configuration = SimpleNamespace(execution_mode=ExecutionMode.FAIL_FAST)
    dynamic = SimpleNamespace(is_dynamic=True, pipeline_configuration=configuration)
    old = SimpleNamespace(is_dynamic=False, pipeline_configuration=SimpleNamespace())

    assert run_mode_of(dynamic) == "dynamic"  # type: ignore[arg-type]
    assert run_mode_of(old) == ""  # type: ignore[arg-type]


def test_none_of_them_is_a_secret_or_hidden() -> None:
    found = {**given(JobOptions(stop_check_seconds=0.1)), variables.PARENT_RUN_IDS: f"{uuid4()},{uuid4()}"}

    assert secret_names(found) == frozenset()
    assert REDACTED not in redacted_variables(found).values()


WATCHED = {variables.STOP_CHECK_SECONDS: "60", variables.STEP_RUN_ID: "1"}


@pytest.mark.parametrize("command", ["python train.py", "sh -c 'exit 3'", "./run --all"])
def test_the_steps_own_command_is_found_again(command: str) -> None:
    assert unprepared(prepared(command, WATCHED)) == command
    assert prepared(command, WATCHED) != command
    assert unprepared(prepared(command, {**WATCHED, variables.VAULT_SECRET: "https://v"})) == command
    assert prepared(command, {**WATCHED, variables.RANKS: "1"}).endswith(f")python -m zenml_azureml.in_job {command}")
    assert prepared(command, {variables.RANKS: "1"}) == f"python -m zenml_azureml.in_job {command}"


@pytest.mark.parametrize("command", ["exit 3", ": nothing", "ulimit -n", "FOO=1 python train.py", ". ./env.sh", ""])
def test_what_only_a_shell_can_run_is_left_to_the_shell(command: str) -> None:
    assert prepared(command, WATCHED) == command


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
@pytest.mark.parametrize(
    "image", ["with this package", "without this package", "without Python", "with a broken Python"]
)
def test_the_command_runs_in_any_image(tmp_path: Path, image: str, shell: str) -> None:
    """Also in one that does not have this package: then nothing watches, and the log says so."""
    programs = tmp_path / "bin"
    programs.mkdir()
    content = {
        "with this package": f'exec {sys.executable} "$@"',
        "without this package": f'exec {sys.executable} -S -I "$@"',
        "with a broken Python": "echo broken; echo broken >&2; exit 127",
    }
    if image in content:
        (programs / "python").write_text(f"#!/bin/sh\n{content[image]}\n")
        (programs / "python").chmod(0o755)
    step = shlex.join(["sh", "-c", 'echo "$1" $$; exit 7', "sh", "two  words $HOME"])

    process = subprocess.Popen(
        [shell, "-c", prepared(step, WATCHED)],
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": "/"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (7, "" if image == "with this package" else f"{NO_WATCHER}\n")
    assert output.startswith("two  words $HOME ")
    if shell == "/bin/bash":  # which becomes the step, as it does without a watcher
        assert int(output.split()[-1]) == process.pid


def answered(run_id: UUID) -> PipelineRunResponse:
    """A run as the client makes it of the answer of a server without nested runs."""
    return PipelineRunResponse.model_validate(
        {
            "id": str(run_id),
            "name": "run",
            "body": {
                "created": "2026-01-01T00:00:00",
                "updated": "2026-01-01T00:00:00",
                "project_id": str(uuid4()),
                "status": "running",
                "in_progress": True,
                "index": 1,
            },
            "metadata": None,
            "resources": None,
        }
    )


def test_a_run_of_a_server_without_nested_runs_has_no_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a server's answer has no `root_run_id` at all."""
    run = uuid4()
    monkeypatch.setattr(Client, "get_pipeline_run", lambda _client, run_id, **_: answered(run_id))

    found = stop_variables(STEP_RUN, str(run), "dynamic", REST, JobOptions(stop_check_seconds=60))

    assert variables.PARENT_RUN_IDS not in found
    assert found[variables.RUN_ID] == str(run)
    assert not step_runs.is_stopping(run)


def test_parents_that_cannot_be_found_keep_no_job_from_its_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_client: Client, _run_id: UUID, **_: Any) -> PipelineRunResponse:
        raise ConnectionError("the server is away")

    monkeypatch.setattr(Client, "get_pipeline_run", away)

    found = stop_variables(STEP_RUN, str(uuid4()), "dynamic", REST, JobOptions(stop_check_seconds=60))

    assert variables.PARENT_RUN_IDS not in found
    assert found[variables.STOP_CHECK_SECONDS] == "60"


@pytest.mark.parametrize(
    ("version", "dynamic", "status", "mode", "requests"),
    [
        (1, False, ExecutionStatus.FAILED, "fail_fast", 0),
        (2, False, ExecutionStatus.RUNNING, "fail_fast", 1),
        (2, False, ExecutionStatus.FAILED, IN_FAILED_RUN, 1),
        (2, False, None, IN_FAILED_RUN, 1),
        (2, True, ExecutionStatus.FAILED, DYNAMIC, 0),
    ],
)
def test_a_step_of_a_restarted_orchestrator_is_distinguished_in_a_failed_run(
    version: int,
    dynamic: bool,
    status: ExecutionStatus | None,
    mode: str,
    requests: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[UUID] = []

    def get_pipeline_run(_client: Client, run_id: UUID, **_options: Any) -> Any:
        asked.append(run_id)
        if status is None:
            raise ConnectionError("the server is away")
        return SimpleNamespace(status=status)

    monkeypatch.setattr(Client, "get_pipeline_run", get_pipeline_run)
    configuration = SimpleNamespace(execution_mode=ExecutionMode.FAIL_FAST)
    snapshot = SimpleNamespace(is_dynamic=dynamic, pipeline_configuration=configuration)
    info: Any = SimpleNamespace(run_id=UUID(RUN), snapshot=snapshot, step_run=SimpleNamespace(version=version))

    assert run_mode_for(info) == mode
    assert asked == [UUID(RUN)] * requests


def nested(monkeypatch: pytest.MonkeyPatch, parent_of: dict[UUID, UUID]) -> None:
    """Let a server have runs whose parents these are."""

    def get_pipeline_run(_client: Client, run_id: UUID, **_options: Any) -> Any:
        parent = parent_of.get(run_id)
        body = SimpleNamespace(root_run_id=UUID(RUN))
        resources = SimpleNamespace(parent_run=None if parent is None else SimpleNamespace(id=parent))
        return SimpleNamespace(id=run_id, get_body=lambda: body, get_resources=lambda: resources)

    monkeypatch.setattr(Client, "get_pipeline_run", get_pipeline_run)


def parents_of(run: UUID) -> list[str]:
    found = stop_variables(STEP_RUN, str(run), "dynamic", REST, JobOptions(stop_check_seconds=60))
    return found[variables.PARENT_RUN_IDS].split(",")


def test_the_parents_of_a_run_are_those_up_to_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run, parent, first = uuid4(), uuid4(), uuid4()
    nested(monkeypatch, {run: parent, parent: first})

    assert parents_of(run) == [str(parent), str(first)]


def test_runs_that_are_parents_of_each_other_do_not_keep_a_job_from_its_submit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = uuid4(), uuid4()
    nested(monkeypatch, {one: other, other: one})

    assert parents_of(one) == [str(other), str(one)] * 10
