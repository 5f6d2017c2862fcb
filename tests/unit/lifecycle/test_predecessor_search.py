"""The search for jobs of earlier step runs by their names: which names are asked for, and when it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from tests.unit.lifecycle.world import Clock
from zenml_azureml import tags
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.lifecycle.predecessor_search import Search
from zenml_azureml.lifecycle.predecessors import Predecessor
from zenml_azureml.run_store.job_names import number_named_in
from zenml_azureml.settings.models import AzureMLStepOperatorSettings

FIRST = uuid4()

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


def searched(workspace: Names, recorded: int) -> Search:
    """The search, done, for the jobs of a step run of which the server has recorded so many."""
    clock = Clock()
    predecessor = Predecessor(FIRST, cast("Any", workspace), recorded, until=-1.0)
    step_run: Any = SimpleNamespace(id=uuid4(), name="train", pipeline_run_id=uuid4())
    search = Search(step_run, AzureMLStepOperatorSettings(), [predecessor], clock, lambda: None)
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
