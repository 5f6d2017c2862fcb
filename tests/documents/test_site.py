"""The built documentation, without a browser; `make test-site` looks at it in one."""

from __future__ import annotations

import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documents.markdown import ROOT

MKDOCS = ROOT / ".venv-tools" / "bin" / "mkdocs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    if not MKDOCS.exists():
        pytest.skip("mkdocs is not installed: `make docs` does it")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [MKDOCS, "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


class Labels(HTMLParser):
    """The labels of the tabs of a page, and the scripts that it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tabs: list[str] = []
        self.scripts: list[str] = []
        self._in_tabs = self._in_label = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_tabs = "tabbed-labels" in (given.get("class") or "") or (self._in_tabs and tag == "label")
        self._in_label = self._in_tabs and tag == "label"
        if tag == "script" and given.get("src"):
            self.scripts.append(str(given["src"]))

    def handle_data(self, data: str) -> None:
        if self._in_label and data.strip():
            self.tabs.append(data.strip())


def test_tabs_of_the_pages_are_rendered(site: Path) -> None:
    wanted = {
        page.stem: re.findall(r'^=== "(.+)"$', page.read_text(encoding="utf-8"), re.MULTILINE)
        for page in (ROOT / "docs").glob("*.md")
    }

    pages = {name: (site / f"{name}.html").read_text(encoding="utf-8") for name in wanted}

    assert any(wanted.values())
    assert {name: Labels(html).tabs for name, html in pages.items()} == wanted
    assert [name for name, html in pages.items() if "=== " in html] == []


def test_search_needs_no_server(site: Path) -> None:
    """The index is a script, which a browser loads from a file too, and has every page. So is what searches it."""
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    pages = {page.name for page in site.glob("*.html")} - {"404.html"}

    assert index.startswith("var __index = ")
    entries = json.loads(index.removeprefix("var __index = "))["docs"]
    assert pages == {entry["location"].partition("#")[0] for entry in entries}
    for page in pages:
        scripts = Labels((site / page).read_text(encoding="utf-8")).scripts
        assert "javascripts/iframe-worker.js" in scripts, page
        assert [script for script in scripts if not (site / script).is_file()] == [], page


def test_each_page_that_links_to_another_links_to_a_file(site: Path) -> None:
    """A link to a folder shows a listing if no server adds `index.html`."""
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert [link for link in re.findall(r'<a [^>]*href="([^"#:]+/)"', html) if page.name != "404.html"] == [], page
