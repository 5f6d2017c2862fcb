"""The promises of the README and of the comparison: tests show them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

from tests.documents.markdown import ROOT, blocks
from tests.e2e.environments import environment_without_plugin

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMPARISON = ROOT / "docs" / "comparison.md"

#: Lines of a first screen, and its columns.
SCREEN, COLUMNS = 36, 100

_SHOWN_BY = re.compile(r'\[\w+\]\(\.\./(tests/[\w/]+\.py) "(test_\w+)"\)')


def comparison() -> list[str]:
    """Return the rows of the tables that compare the two operators."""
    lines = COMPARISON.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith("| | built-in")]


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_row_of_the_comparison_links_to_an_existing_test() -> None:
    rows = comparison()
    unshown = []
    for row in rows:
        shown_by = _SHOWN_BY.search(row)
        if not shown_by or shown_by[2] not in functions_in(ROOT / shown_by[1]):
            unshown.append(row)

    assert len(rows) >= 30
    assert unshown == []


def test_the_readme_counts_the_rows_of_the_comparison() -> None:
    assert f"{len(comparison())} differences" in README


def test_the_first_screen_has_no_table_and_fits_100_columns() -> None:
    screen = README.splitlines()[:SCREEN]

    assert [line for line in screen if len(line) > COLUMNS or line.startswith("|")] == []


def test_no_line_is_wider_than_100_columns() -> None:
    assert [line for line in README.splitlines() if len(line) > COLUMNS] == []


def test_no_topic_is_listed_twice() -> None:
    topics = re.findall(r"^- \*\*(.+?)[.:]\*\*", README, re.MULTILINE)

    assert len(topics) > 8
    assert sorted(set(topics)) == sorted(topics)


def test_every_page_of_the_documents_is_linked_from_the_readme_or_a_page_that_it_links() -> None:
    linked = {"index.md"}  # the first page of the site, as the README is of the repository
    linked |= set(re.findall(r"\(docs/([\w-]+\.md)", README))
    for name in list(linked):
        linked |= set(re.findall(r"\(([\w-]+\.md)", (ROOT / "docs" / name).read_text(encoding="utf-8")))

    assert {path.name for path in (ROOT / "docs").glob("*.md")} - linked == set()


def test_the_install_command_works_in_a_checkout(tmp_path: Path) -> None:
    environment = environment_without_plugin(tmp_path / "environment")
    (block,) = [block for block in blocks(ROOT / "README.md") if block.text == "pip install .\n"]
    script = (
        'pip() { python -m pip "$@"; }\n'
        + block.text
        + "zenml-azureml --help\n"
        + "python -c 'from zenml.integrations.azure import flavors as f\n"
        + "print(f.AzureMLStepOperatorSettings.__module__)'"
    )
    # Dependencies and the build backend are in the environment, so pip needs no index.
    options = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "0"}
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "ZENML_"))}
    variables = {
        **own,
        **options,
        "PATH": f"{environment.python.parent}:{os.environ['PATH']}",
        "ZENML_CONFIG_PATH": str(tmp_path / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
    }

    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Usage: zenml-azureml" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("zenml_azureml.")


def test_the_versions_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # tomllib is in Python 3.11 and later
    floors = dict(re.findall(r'^    "([\w-]+)>=([\d.]+),', project, re.MULTILINE))

    assert f"- ZenML {floors['zenml']} and later" in README
    assert f"- `azure-ai-ml` {floors['azure-ai-ml']} and later" in README
    assert 'requires-python = ">=3.10,<3.15"' in project
    assert "- Python 3.10 to 3.14" in README
