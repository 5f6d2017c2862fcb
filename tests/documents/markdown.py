"""What tests have to know of a document: its code blocks, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<info>.*)$")
_MARK = re.compile(r"^<!-- (?P<mark>.+?) -->$")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        document: The file it is in.
        line: Of its opening fence, from 1.
        language: What the fence names; may be empty.
        title: Name of the file that it shows; may be empty.
        text: Its lines.
        mark: The comment right above it; may be empty. `not run: REASON`, or `output`: of the block before it.
    """

    document: Path
    line: int
    language: str
    title: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    places = [ROOT, ROOT / "docs", ROOT / ".github"]
    return sorted(path for place in places for path in place.glob("*.md" if place == ROOT else "**/*.md"))


def blocks(document: Path) -> list[Block]:
    """The code blocks of a document, in its order."""
    found, mark = [], ""
    lines = iter(enumerate(document.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening:
            indent, fence, info = opening["indent"], opening["fence"], opening["info"].strip()
            text = [inner.removeprefix(indent) for inner in _until(fence, lines)]
            title = _TITLE.search(info)
            language = info.partition(" ")[0]
            found.append(Block(document, number, language, title[1] if title else "", "\n".join(text) + "\n", mark))
        comment = _MARK.match(line.strip())
        if line.strip():
            mark = comment["mark"] if comment else ""
    return found


def _until(fence: str, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == fence:
            return
        yield line


def prose(document: Path) -> str:
    """A document without its code blocks and code spans."""
    kept, fence = [], ""
    for line in document.read_text(encoding="utf-8").splitlines():
        opening = _FENCE.match(line)
        if fence:
            fence = "" if line.strip() == fence else fence
        elif opening:
            fence = opening["fence"]
        else:
            kept.append(line)
    return re.sub(r"(`+)(?:.|\n)+?\1", "", "\n".join(kept))


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and mkdocs make them alike."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", text, re.MULTILINE)
    slugs: set[str] = set()
    for heading in headings:
        plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        slugs.add(slug)
    return slugs
