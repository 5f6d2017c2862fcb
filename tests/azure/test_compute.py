"""Computes as a step asks for them: the tables of docs/compute.md, through the real SDK."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.azure.compute_scenarios import DELETIONS, SCENARIOS
from tests.azure.compute_world import World
from zenml_azureml.exceptions import AzureMLError

PAGE = Path(__file__).parents[2] / "docs" / "compute.md"


@dataclass(frozen=True)
class Row:
    """A row of a table in docs/compute.md.

    Attributes:
        id: Which scenario.
        outcome: The word in bold.
        shown: What is in code: to be found in the error, or in the log.
        requests: `METHOD what`, in order.
    """

    id: str
    outcome: str
    shown: tuple[str, ...]
    requests: tuple[str, ...]


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[0] == "id":
            continue
        outcome = re.search(r"\*\*(\w+)\*\*", cells[-2])
        count, _, requests = cells[-1].partition(":")
        sent = tuple(request.strip() for request in requests.split(",") if request)
        assert outcome is not None
        assert len(sent) == int(count), line
        yield Row(cells[0], outcome[1], tuple(re.findall("`([^`]+)`", cells[-2])), sent)


ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_a_compute_in_each_state_is_used_started_created_or_refused(
    row: Row, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="zenml_azureml")

    outcome, shown = what_comes_of(row, world)

    assert outcome == row.outcome
    for words in row.shown:
        assert words in shown + caplog.text
    assert world.sent == list(row.requests)


def test_every_scenario_has_a_row() -> None:
    assert {row.id for row in ROWS} == {*SCENARIOS, *DELETIONS}


def what_comes_of(row: Row, world: World) -> tuple[str, str]:
    """The outcome in one word, and the error if there is one."""
    try:
        if row.id in DELETIONS:
            return "deleted" if DELETIONS[row.id](world) else "kept", ""
        target = SCENARIOS[row.id](world)
    except AzureMLError as error:
        return "error", str(error)
    if target.created:
        return "created", ""
    return "started" if "POST start" in world.sent else "used", ""
