"""The check of the language finds excluded words with their line, and leaves names alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts import check_words
from scripts.check_words import Text, covered_files, findings, texts_of

PYTHON = '''\
"""A module.

It is told of.
"""

NAME = "all is well"  # and nobody knows
# It is asked for
# ever, as it seems.


def tell(count: int) -> str:
    """Return a text."""
    return (
        f"{count} jobs are made "
        f"anew by {tell(0)}"
    )
'''


def found_in(path: Path) -> list[tuple[int, str]]:
    return [(finding.line, finding.word) for finding in findings(texts_of(path))]


def test_docstrings_comments_and_strings_of_python_are_read(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(PYTHON)

    assert found_in(path) == [(3, "told"), (6, "nobody"), (7, "for ever"), (15, "anew")]


def test_prose_and_code_of_a_document_are_read(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Page\n\nThe job goes\non.\n\n```text\nAzure says: no\nWhat to do: wait\n```\n")

    assert found_in(path) == [(3, "goes on"), (7, "Azure says"), (8, "What to do:")]


def test_a_finding_names_better_words() -> None:
    (finding,) = findings([Text(1, "The job is made anew.")])

    assert finding.instead == "again"


@pytest.mark.parametrize(
    "words",
    [
        "test_each_cause_is_told_in_the_output",
        "`--tell-all`",
        "recommend, amended, storyteller",
        "The job keeps running.",
        "Whatever you do, do it by handler.",
        "going on-premises",
    ],
)
def test_names_and_other_words_are_no_findings(words: str) -> None:
    assert findings([Text(1, words)]) == []


@given(st.sampled_from(["told", "whoever", "by hand", "Azure's own words"]), st.booleans(), st.integers(0, 20))
def test_a_word_is_found_in_any_case_on_any_line(word: str, upper: bool, line: int) -> None:
    words = "\n" * line + f"It is {word.upper() if upper else word}."

    (finding,) = findings([Text(1, words)])

    assert (finding.line, finding.word.lower()) == (line + 1, word.lower())


def test_a_quotation_in_the_list_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_words, "QUOTATIONS", {"Tell the registry": "recorded"})

    assert [finding.word for finding in findings([Text(1, "Azure: Tell the registry. Then tell me.")])] == ["tell"]


def test_files_of_folders_are_covered_except_exempt_ones(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("docs/a.md", "docs/b.md", "docs/c.svg", "README.md"):
        (tmp_path / name).touch()

    files = covered_files(tmp_path, ["README.md", "docs"], ["docs/b.md"])

    assert [str(path.relative_to(tmp_path)) for path in files] == ["README.md", "docs/a.md"]


def test_a_list_that_names_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.md"):
        covered_files(tmp_path, ["gone.md"], [])


def test_the_lists_are_complete_sentences_about_existing_files() -> None:
    assert covered_files(check_words.ROOT)
    assert [reason for reason in check_words.EXEMPT.values() if not reason.endswith(".")] == []
