"""A hook of mkdocs: no page may make its reader's browser load anything from another host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: What a browser loads by itself; links that a reader follows are `<a href=...>` and are none of it.
_ADDRESS = r"""["']?((?:https?:)?//[^"')\s>]+)"""
LOADED = [
    re.compile(pattern + _ADDRESS, re.IGNORECASE)
    for pattern in (
        r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=",
        r"<link\b(?![^>]*\brel=[\"']?(?:canonical|alternate))[^>]*\bhref=",
        r"@import\s+(?:url\()?",
        r"\burl\(\s*",
    )
]


def loaded_from_elsewhere(folder: Path) -> list[str]:
    """What the pages, style sheets and pictures below a folder load from other hosts.

    Args:
        folder: A built site.

    Returns:
        One line each, with the file and the address.
    """
    return [
        f"{path.relative_to(folder)} loads {address}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".html", ".css", ".svg"}
        for pattern in LOADED
        for address in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def on_post_build(config: Mapping[str, Any]) -> None:
    """Fail the build where a page is not complete in itself.

    Raises:
        SystemExit: With what is loaded from where.
    """
    found = loaded_from_elsewhere(Path(config["site_dir"]))
    if found:
        raise SystemExit("Pages load from other hosts:\n" + "\n".join(found))
