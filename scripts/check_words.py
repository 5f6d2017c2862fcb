"""A check of the language: words that messages, docstrings, comments, help and documents do not use.

`python -m scripts.check_words` prints each of them with its line and a better word, and exits with 1 if there are any.
`make lint` runs it. CONTRIBUTING.md has the style guide.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: Files and folders that are checked.
COVERED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs",
    "scripts",
    "src",
    "tests/documents",
)

#: Files in these folders that are not checked, each with the reason.
EXEMPT = {
    "scripts/check_words.py": "It has the words.",
}

#: Quotations of others that may contain such words, each with its source.
QUOTATIONS: dict[str, str] = {}

#: A pattern for each group of words, and what to write instead.
WORDS = {
    r"told|tells?|telling": "report, show, return, include; `is known`",
    r"whoever": "the user, users who",
    r"somebody|nobody": "a user, another process; no user, no process",
    r"anew": "again",
    r"mend(?:s|ed|ing)?": "fix",
    r"for ever|forever": "indefinitely",
    r"(?:goes|gone|going) on": "continue, keep running; resume; reuse",
    r"in the place of": "instead of, replaces",
    r"by hand": "manually",
    r"is there already": "exists",
    r"Azure says|\w+['\u2019]s? (?:own )?words": "`Azure's message`, Azure reported",
    r"what to do:": "Next steps:",
}


@dataclass(frozen=True)
class Text:
    """A text in a file.

    Attributes:
        line: Its first line, from 1.
        words: Its content.
        source: The lines of the file that it spans.
    """

    line: int
    words: str
    source: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A word that the style guide excludes.

    Attributes:
        line: Its line, from 1.
        word: The word as it is written.
        instead: Better words.
    """

    line: int
    word: str
    instead: str


def findings(texts: Iterable[Text]) -> list[Finding]:
    """Return the excluded words in some texts, in the order of their lines.

    Args:
        texts: Texts of one file.
    """
    found = {
        Finding(_line_of(match, text), " ".join(match[0].split()), instead)
        for text in texts
        for pattern, instead in _PATTERNS.items()
        for match in pattern.finditer(_without_quotations(text.words))
    }
    return sorted(found, key=lambda finding: (finding.line, finding.word))


def texts_of(path: Path) -> list[Text]:
    """Return the texts of a file: all of a document; strings and comments of Python.

    Args:
        path: A Markdown or Python file.
    """
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [Text(1, content)]
    return [*_strings(content), *_comments(content)]


def covered_files(root: Path, covered: Iterable[str] = COVERED, exempt: Iterable[str] = tuple(EXEMPT)) -> list[Path]:
    """Return the files to check.

    Args:
        root: Root of the project.
        covered: Files and folders below it.
        exempt: Files below it that are skipped.

    Raises:
        FileNotFoundError: If one of them does not exist.
    """
    for name in (*covered, *exempt):
        if not (root / name).exists():
            raise FileNotFoundError(f"{name} is in a list of scripts/check_words.py and does not exist")
    files = {
        path
        for name in covered
        for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))
        if path.suffix in {".py", ".md"}
    }
    return sorted(files - {root / name for name in exempt})


def main() -> int:
    """Check all covered files, and return the exit code."""
    lines = [
        f"{path.relative_to(ROOT)}:{finding.line}: `{finding.word}`: write {finding.instead}"
        for path in covered_files(ROOT)
        for finding in findings(texts_of(path))
    ]
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
    return 1 if lines else 0


# The words of a phrase can be on two lines. `_` and `-` belong to names.
_PATTERNS = {
    re.compile(r"(?<![\w-])(?:" + pattern.replace(" ", r"\s+") + r")(?![\w-])", re.IGNORECASE): instead
    for pattern, instead in WORDS.items()
}


def _without_quotations(words: str) -> str:
    for quotation in QUOTATIONS:
        words = words.replace(quotation, re.sub(r"\S", " ", quotation))
    return words


def _line_of(match: re.Match[str], text: Text) -> int:
    """Return the line of a match; in a string of several literals, the first that has its first word."""
    line = text.line + match.string.count("\n", 0, match.start())
    first = match[0].split()[0]
    if not text.source or (line - text.line < len(text.source) and first in text.source[line - text.line]):
        return line
    return next((text.line + number for number, source in enumerate(text.source) if first in source), text.line)


def _strings(content: str) -> Iterator[Text]:
    lines = content.splitlines()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Text(node.lineno, node.value, tuple(lines[node.lineno - 1 : node.end_lineno]))


def _comments(content: str) -> Iterator[Text]:
    block: list[str] = []
    first = 0
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != first + len(block):
            yield Text(first, "\n".join(block))
            block = []
        if not block:
            first = token.start[0]
        block.append(token.string.lstrip("#: "))
    if block:
        yield Text(first, "\n".join(block))


if __name__ == "__main__":
    sys.exit(main())
