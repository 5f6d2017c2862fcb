"""Takeover of a job: which step run it belongs to, and which step operator has submitted it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from zenml.client import Client

from zenml_azureml import tags
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin import run_status, takeover
from zenml_azureml.job_admin.takeover import operator_of, step_run_of

SERVER = UUID("2d4f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11")
STEP_RUN = UUID("0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11")
UNKNOWN = "1c3f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"
OPERATORS: list[Any] = [SimpleNamespace(name="first"), SimpleNamespace(name="second")]


def place(name: str, *jobs: JobSnapshot) -> Any:
    """A workspace with these jobs."""
    by_name = {job.name: job for job in jobs}
    return SimpleNamespace(name=name, workspace=SimpleNamespace(find_job=by_name.get))


def job(*, step_run: str = str(STEP_RUN), server: str = str(SERVER)) -> JobSnapshot:
    return JobSnapshot("job", "Running", {tags.STEP_RUN_ID: step_run, tags.SERVER_ID: server})


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The step runs that the server was asked for; it has one."""
    asked: list[UUID] = []

    def get_run_step(_client: Client, id_: UUID) -> Any:
        asked.append(id_)
        if id_ != STEP_RUN:
            raise KeyError(id_)
        return SimpleNamespace(id=id_)

    monkeypatch.setattr(Client, "get_run_step", get_run_step)
    monkeypatch.setattr(takeover, "server_id", lambda: SERVER)
    monkeypatch.setattr(takeover, "in_words", lambda places: " and ".join(place.name for place in places))
    return asked


def test_a_job_is_found_in_any_of_the_workspaces() -> None:
    assert step_run_of("job", [place("one"), place("two", job()), place("three")]).id == STEP_RUN


def test_a_step_run_is_searched_in_no_workspace() -> None:
    assert step_run_of(str(STEP_RUN), []).id == STEP_RUN
    with pytest.raises(AzureMLError, match="The ZenML server has no step run"):
        step_run_of(UNKNOWN, [])


def test_a_job_that_no_workspace_has_is_named_with_the_workspaces(asked: list[UUID]) -> None:
    with pytest.raises(AzureMLError, match="There is no job `job` in one and two"):
        step_run_of("job", [place("one"), place("two")])

    assert asked == []


@pytest.mark.parametrize("found", [job(step_run="edited"), job(server=UNKNOWN), job(server="")])
def test_a_job_of_another_server_is_not_taken_over(found: JobSnapshot, asked: list[UUID]) -> None:
    with pytest.raises(AzureMLError, match="belongs to another ZenML server than"):
        step_run_of("job", [place("one", found)])

    assert asked == []


@pytest.mark.parametrize(("named", "operator"), [(True, "first"), (None, "first"), ("first", "first"), ("second",) * 2])
def test_the_operator_is_the_one_that_the_step_names(named: object, operator: str) -> None:
    step_run: Any = SimpleNamespace(name="trainer", config=SimpleNamespace(step_operator=named))

    assert operator_of(step_run, OPERATORS).name == operator


def test_an_operator_that_is_not_in_the_stack_is_named() -> None:
    step_run: Any = SimpleNamespace(name="trainer", config=SimpleNamespace(step_operator="third"))

    with pytest.raises(AzureMLError) as refused:
        operator_of(step_run, OPERATORS)

    assert refused.value.hint == "Name it: `--operator third`."


def test_an_interrupted_wait_says_on_the_server_that_the_step_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[tuple[Any, str]] = []
    cleaned: list[Any] = []

    def wait(_step_run: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_status, "mark_step_stopped", lambda step_run, why: stopped.append((step_run, str(why))))
    operator: Any = SimpleNamespace(wait=wait, cleanup_step_submission=cleaned.append)
    step_run: Any = SimpleNamespace(id=STEP_RUN)
    with pytest.raises(KeyboardInterrupt):
        takeover.wait_for_end(step_run, operator, timedelta())

    assert stopped == [(STEP_RUN, "Waiting with `zenml-azureml jobs wait` was interrupted.")]
    assert cleaned == [step_run]
