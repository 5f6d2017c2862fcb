"""A hook of mkdocs: links that show a file's name, as suits a repository, show the page's title on the site."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[\w+\.md\]\((?P<file>\w+\.md)(?P<anchor>#[\w-]+)?\)")


def with_titles(markdown: str, docs: Path) -> str:
    """A page whose links to other pages show titles.

    Args:
        markdown: The page.
        docs: The folder with all pages.
    """

    def link(match: re.Match[str]) -> str:
        heading = re.search(r"^# (.+)$", (docs / match["file"]).read_text(encoding="utf-8"), re.MULTILINE)
        title = heading[1] if heading else match["file"]
        return f"[{title}]({match['file']}{match['anchor'] or ''})"

    return _LINK.sub(link, markdown)


def on_page_markdown(markdown: str, *, config: Mapping[str, Any], **_: Any) -> str:
    """Called for each page."""
    return with_titles(markdown, Path(config["docs_dir"]))
