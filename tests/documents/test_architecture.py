"""The answers of docs/architecture.md and the map's neighbours: each names a file or folder that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents.markdown import ROOT, prose

PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "src" / "zenml_azureml"

_NAMED = re.compile(r"`((?:[\w.-]+/)+|(?:[\w.-]+/)*\w+\.py)`")


def unknown_paths(text: str) -> list[str]:
    """Return the files and folders that a text names and that do not exist.

    A name without a folder is that of a file beside the one before it on the line, or else of any file of the package.
    """
    unknown = []
    for line in text.splitlines():
        beside: Path | None = None
        for name in _NAMED.findall(line):
            if "/" not in name:
                exists = (beside / name).is_file() if beside else any(PACKAGE.rglob(name))
            else:
                found = [root / name for root in (PACKAGE, ROOT) if (root / name).exists()]
                exists, beside = bool(found), found[0].parent if found else None
            if not exists:
                unknown.append(name)
    return unknown


def test_each_file_that_the_page_names_exists() -> None:
    assert unknown_paths(prose(PAGE)) == []


def test_at_least_ten_questions_are_answered_by_a_file_or_folder() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("| question | file |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()]

    assert len(rows) >= 10
    assert [question for question, answer in rows if not _NAMED.search(answer)] == []


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("`azure/sizes/quota.py`, or `sizing.py` beside it", []),
        ("`azure/sizes/quota.py`, or `canceller.py`, which is elsewhere", ["canceller.py"]),
        ("`canceller.py` alone", []),
        (
            "`azure/lost.py` and the folder `in_job/gone/`, but `in_job/watcher/` and `tests/unit/`",
            ["azure/lost.py", "in_job/gone/"],
        ),
    ],
)
def test_the_check_notices_a_file_that_was_moved(line: str, unknown: list[str]) -> None:
    assert unknown_paths(line) == unknown
