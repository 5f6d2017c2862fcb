"""The README's promises: each is tied to a test that shows it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.documents.markdown import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

_SHOWN_BY = re.compile(r'\[test\]\((tests/[\w/]+\.py) "(test_\w+)"\)')


def comparison() -> list[str]:
    """The rows of the table that compares the two operators."""
    _, _, section = README.partition("## What the built-in does")
    section, _, _ = section.partition("\n## ")
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_row_of_the_comparison_links_to_a_test_that_is_there() -> None:
    rows = comparison()
    unshown = []
    for row in rows:
        shown_by = _SHOWN_BY.search(row)
        if not shown_by or shown_by[2] not in functions_in(ROOT / shown_by[1]):
            unshown.append(row)

    assert len(rows) >= 20
    assert unshown == []


def test_the_versions_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # tomllib is in Python 3.11 and later
    floors = dict(re.findall(r'^    "([\w-]+)>=([\d.]+),', project, re.MULTILINE))

    assert f"| ZenML | {floors['zenml']} and later" in README
    assert f"| `azure-ai-ml` | {floors['azure-ai-ml']} and later" in README
    assert 'requires-python = ">=3.10,<3.14"' in project
    assert "| Python | 3.10 to 3.13 |" in README
