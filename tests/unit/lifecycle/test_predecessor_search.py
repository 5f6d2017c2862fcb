"""The search for jobs of earlier step runs by their names: which names are asked for, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from azure.core.exceptions import ServiceRequestError

from tests.unit.lifecycle.world import Clock
from zenml_azureml import tags
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.lifecycle.predecessor_search import Search
from zenml_azureml.lifecycle.predecessors import Predecessor
from zenml_azureml.run_store.job_names import job_name_of, number_named_in
from zenml_azureml.settings.models import AzureMLStepOperatorSettings

FIRST = uuid4()
JOB = job_name_of(FIRST)

#: So many requests are a search without an end.
MOST_REQUESTS = 20


class Names:
    """A workspace that no tag leads to, with the jobs of these numbers, all of which have ended."""

    def __init__(self, *numbers: int, step_run: object = FIRST) -> None:
        self.numbers = set(numbers)
        self.asked: list[int] = []
        self._tags = {tags.STEP_RUN_ID: str(step_run)}
        self.secrets = SimpleNamespace(drop=lambda *_arguments, **_options: None)

    def list_jobs(self, _tag: str) -> list[JobSnapshot]:
        return []

    def find_job(self, name: str) -> JobSnapshot | None:
        number = number_named_in(name)
        self.asked.append(number)
        assert len(self.asked) < MOST_REQUESTS, "it searches without an end"
        return JobSnapshot(name, "Completed", self._tags) if number in self.numbers else None


def search_in(
    *workspaces: object, recorded: int = 0, until: float = -1.0, check: Callable[[], None] = lambda: None
) -> Search:
    """The search for the jobs of a step run of which the server has recorded so many, in these workspaces."""
    earlier = [Predecessor(FIRST, cast("Any", each), recorded, until=until) for each in workspaces]
    step_run: Any = SimpleNamespace(id=uuid4(), name="train", pipeline_run_id=uuid4())
    return Search(step_run, AzureMLStepOperatorSettings(), earlier, Clock(), check)


def searched(workspace: Names, recorded: int) -> Search:
    """The search, done."""
    search = search_in(workspace, recorded=recorded)
    search.end_all()
    return search


@pytest.mark.parametrize(
    ("numbers", "recorded", "asked"),
    [
        ((), 0, [1]),
        ((), 1, [1]),
        ((), 3, [1, 2, 3]),
        ((1,), 0, [1, 2]),
        ((1, 2), 1, [1, 2, 3]),
        ((2,), 2, [1, 2, 3]),
        ((2,), 1, [1]),
    ],
)
def test_names_are_asked_for_up_to_the_first_that_is_neither_recorded_nor_there(
    numbers: tuple[int, ...], recorded: int, asked: list[int]
) -> None:
    workspace = Names(*numbers)
    searched(workspace, recorded)

    assert workspace.asked == asked


def test_a_job_that_was_recorded_and_not_found_is_asked_for_again() -> None:
    workspace = Names()
    search = searched(workspace, 1)
    workspace.asked.clear()
    workspace.numbers = {1}
    search.look_again()

    assert workspace.asked == [1, 2]


def test_a_job_with_the_name_of_an_earlier_one_that_is_of_another_step_run_is_none() -> None:
    workspace = Names(1, step_run=uuid4())
    searched(workspace, 0)

    assert workspace.asked == [1]


class Answering:
    """A workspace with a job, which is listed or not, and what its answers about the job are: none has it if empty."""

    def __init__(self, *answers: str | Exception, listed: bool = True) -> None:
        self.answers = list(answers)
        self.listed = listed
        self.cancelled: list[str] = []
        self.secrets = SimpleNamespace(drop=lambda *_arguments, **_options: None)

    def list_jobs(self, _tag: str) -> list[JobSnapshot]:
        return [self._job("Running")] if self.listed else []

    def find_job(self, name: str) -> JobSnapshot | None:
        if name != JOB:
            return None
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return self._job(answer) if answer else None

    def cancel(self, name: str) -> bool:
        self.cancelled.append(name)
        return True

    def how_to_cancel(self, name: str) -> str:
        return f"To cancel it: {name}"

    def _job(self, status: str) -> JobSnapshot:
        return JobSnapshot(JOB, status, {tags.STEP_RUN_ID: str(FIRST)})


@pytest.mark.parametrize("answers", [("", "Running", "", "Running", "Canceled"), ("Running", "", "")])
def test_a_job_is_gone_when_two_answers_in_a_row_do_not_have_it(answers: tuple[str, ...]) -> None:
    workspace = Answering(*answers)
    search_in(workspace).end_all()

    assert workspace.answers == [], "it was looked at until its end"
    assert workspace.cancelled == [JOB]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_job_is_cancelled_in_the_workspace_that_has_it(is_first: bool) -> None:
    there, elsewhere = Answering("Canceled"), Answering(*[""] * 10, listed=False)
    search_in(*((there, elsewhere) if is_first else (elsewhere, there))).end_all()

    assert (there.cancelled, elsewhere.cancelled) == ([JOB], [])
    assert there.answers == []


def test_a_job_that_appears_after_an_interruption_is_cancelled_although_azure_fails_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workspace = Answering("", ServiceRequestError("Connection reset"), "Running", listed=False)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_in(workspace, until=60.0, check=interrupted).end_all()

    assert workspace.cancelled == [JOB]
    assert "`zenml-azureml jobs cancel --orphans` cancels it" in caplog.text
