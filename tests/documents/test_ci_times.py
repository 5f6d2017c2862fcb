"""The table of how long each target of `.ci/run` takes."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from scripts.ci_times import BEGIN, END, PAGE, table, with_table

ROOT = Path(__file__).parents[2]


def test_the_table_has_each_target_in_minutes_and_their_sum() -> None:
    written = table([("lint docs", 30), ("test", 570)], 2, date(2026, 11, 29))

    assert written.splitlines() == [
        "The last run, of 2026-11-29, on 2 cores:",
        "",
        "| target | minutes |",
        "|---|---|",
        "| `make lint docs` | 0.5 |",
        "| `make test` | 9.5 |",
        "| all | 10.0 |",
    ]


def test_tests_that_were_repeated_are_named_below_the_table() -> None:
    written = table([("lint", 30)], 2, date(2026, 11, 29), ["tests/test_it.py::test_it"])

    assert written.endswith(
        "| all | 0.5 |\n\nFailed at first, and passed when repeated alone:\n\n- `tests/test_it.py::test_it`\n"
    )


def test_a_new_table_takes_the_place_of_the_old_one_and_leaves_the_page_alone() -> None:
    page = with_table(f"before\n{BEGIN}old\n{END}after\n", "new\n")

    assert page == f"before\n{BEGIN}\nnew\n\n{END}after\n"
    assert with_table(page, "new\n") == page


def test_a_page_without_a_place_for_it_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        with_table("a page", "new\n")


def test_the_page_has_the_targets_of_the_script() -> None:
    (targets,) = re.findall(r'^targets="([^"]*)"$', (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    kept = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]

    assert re.findall(r"`make ([a-z -]+)`", kept) == targets.split("\n")
