"""A hook of mkdocs: links to tests, which are in the repository but not on the site, show where the test is."""

from __future__ import annotations

import re
from typing import Any

_LINK = re.compile(r'\[(?P<text>\w+)\]\(\.\./(?P<file>tests/[\w/]+\.py) "(?P<test>\w+)"\)')


def without_links_to_tests(markdown: str) -> str:
    """Return a page in which each link to a test is its text, with file and test as the title.

    Args:
        markdown: The page.
    """
    return _LINK.sub(r'<code title="\g<file>::\g<test>">\g<text></code>', markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Change a page before mkdocs reads it."""
    return without_links_to_tests(markdown)
