"""The claims of the documents about the code and about each other."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from scripts import docs_offline, docs_tests, docs_titles, settings_reference
from scripts.check_words import Text, findings

from tests.documents.markdown import ROOT, anchors, blocks, documents, prose
from tests.documents.sources import texts
from zenml_azureml import AzureMLStepOperatorConfig, AzureMLStepOperatorSettings

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
_MESSAGE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    missing = []
    for link in _LINK.findall(prose(document)):
        if re.match(r"https?://|mailto:", link):
            continue
        target, _, anchor = unquote(link).partition("#")
        path = (document.parent / target).resolve() if target else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            missing.append(link)

    assert missing == []


def test_blocks_that_are_not_run_name_tests_that_are_there() -> None:
    marks = [block.mark for document in documents() for block in blocks(document)]

    named = [path for mark in marks for path in re.findall(r"tests/[\w/]+\.py", mark)]

    assert len(named) > 3
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_no_document_keeps_an_emulators_folder_in_the_source_root() -> None:
    """Code blocks run in the folder of the code, which ZenML uploads."""
    states = [
        state
        for document in documents()
        for block in blocks(document)
        for state in re.findall(r"--state[ =](\S+)|Emulator\(Path\(\"([^\"]+)", block.text)
    ]

    assert len(states) > 5
    assert [state for state in states if not "".join(state).startswith(("../", "~/"))] == []


def test_no_document_installs_the_package_from_an_index_that_does_not_have_it() -> None:
    """Until it is published, each page installs it from a checkout, and says so."""
    installing = [
        (name_of(document), line)
        for document in documents()
        for block in blocks(document)
        for line in block.text.splitlines()
        if re.match(r"\s*pip install ", line) and re.search(r"zenml-azureml|<CHECKOUT>|\.(\[| |$)|\"\.", line)
    ]

    assert len(installing) > 4
    assert [line for _, line in installing if re.search(r"[ \"']zenml-azureml(?! @)", line)] == []
    assert [name for name, _ in installing if "not on PyPI yet" not in (ROOT / name).read_text(encoding="utf-8")] == []


def test_names_of_tests_in_the_documents_are_plain_english() -> None:
    names = {
        name for document in documents() for name in re.findall(r"\btest_\w+", document.read_text(encoding="utf-8"))
    }

    found = {name: findings([Text(1, name.replace("_", " "))]) for name in sorted(names)}

    assert len(names) > 100
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize("document", ["docs/security.md"])
def test_claims_about_security_name_tests_that_are_there(document: str) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", (ROOT / document).read_text(encoding="utf-8"))

    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).exists() or (test and f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8"))
    ]

    assert len(named) > 10
    assert missing == []


def test_the_pages_of_the_site_link_to_nothing_outside_of_it() -> None:
    outside = [
        f"{name_of(document)}: {link}"
        for document in documents()
        if document.parent == ROOT / "docs"
        for link in _LINK.findall(docs_tests.without_links_to_tests(prose(document)))
        if link.startswith("..")
    ]

    assert outside == []


def test_the_tables_of_settings_are_those_of_the_code() -> None:
    page = settings_reference.PAGE.read_text(encoding="utf-8")

    assert settings_reference.filled_in(page) == page, "run: .venv/bin/python scripts/settings_reference.py"


def test_every_setting_is_in_a_table() -> None:
    page = settings_reference.PAGE.read_text(encoding="utf-8")
    fields = {*AzureMLStepOperatorSettings.model_fields, *AzureMLStepOperatorConfig.model_fields}

    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


def test_messages_in_troubleshooting_are_those_of_the_code() -> None:
    known = "\n".join(texts())
    messages = _MESSAGE.findall((ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))

    unknown = [message for message in messages if not re.search(re.escape(message).replace(r"\.\.\.", ".*"), known)]

    assert len(messages) > 40
    assert unknown == []


def test_architecture_names_files_that_exist() -> None:
    """The map in CONTRIBUTING.md is compared with the folders by tests/unit/test_layout.py."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "zenml_azureml"
    folders = (source, source / "emulator", ROOT)
    named = re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", page)

    missing = [
        name
        for name in named
        # Some files are named without their folder, beside a neighbour that has it.
        if not any((folder / name).exists() for folder in folders) and not ("/" not in name and [*source.rglob(name)])
    ]

    assert len(named) > 10
    assert missing == []


def test_what_a_page_would_load_from_another_host_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<link href="https://fonts.example.org/a.css" rel=stylesheet><a href="https://example.org">link</a>'
        '<img src="picture.svg"><script src=//cdn.example.org/b.js></script>'
    )
    (tmp_path / "style.css").write_text("@import 'https://example.org/c.css'; a { background: url(d.png) }")

    assert docs_offline.loaded_from_elsewhere(tmp_path) == [
        "page.html loads //cdn.example.org/b.js",
        "page.html loads https://fonts.example.org/a.css",
        "style.css loads https://example.org/c.css",
    ]


def test_on_the_site_links_show_titles_instead_of_file_names(tmp_path: Path) -> None:
    (tmp_path / "sizes.md").write_text("<!-- comment -->\n\n# VM sizes\n\n## Quota\n")

    page = "See [sizes.md](sizes.md#quota), [sizes.md](sizes.md) and [the sizes](sizes.md)."

    assert docs_titles.with_titles(page, tmp_path) == (
        "See [VM sizes](sizes.md#quota), [VM sizes](sizes.md) and [the sizes](sizes.md)."
    )


def test_on_the_site_links_to_tests_name_the_test_instead() -> None:
    page = 'See [test_a](../tests/e2e/test_a.py "test_that_it_runs") and [tests](testing.md).'

    assert docs_tests.without_links_to_tests(page) == (
        'See <code title="tests/e2e/test_a.py::test_that_it_runs">test_a</code> and [tests](testing.md).'
    )
