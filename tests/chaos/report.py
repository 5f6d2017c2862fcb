"""What the suite prints: the tables of what has happened, what broke, and one line at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.chaos.catalogue import EVENTS, FAULTS, PHASES


def fault_table(fired: Counter[tuple[str, str]]) -> str:
    """How often each fault has happened in each phase."""
    return _table(tuple(PHASES), tuple(FAULTS), fired)


def event_table(happened: Counter[tuple[str, str]]) -> str:
    """How often each event has happened at requests of each phase."""
    return _table(tuple(PHASES), tuple(EVENTS), happened)


def missing(pairs: Iterable[tuple[str, str]], seen: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs that have not happened."""
    return [pair for pair in pairs if not seen[pair]]


def _table(columns: Sequence[str], rows: Sequence[str], counts: Counter[tuple[str, str]]) -> str:
    width = max(map(len, rows))
    words = [column.split(" ") for column in columns]
    widths = [max(4, *(len(word) for word in column)) for column in words]
    head = []
    for line in range(max(map(len, words))):
        cells = [
            (column[line] if line < len(column) else "").rjust(size) for column, size in zip(words, widths, strict=True)
        ]
        head.append(" " * width + "  " + " ".join(cells))
    body = [
        row.ljust(width)
        + "  "
        + " ".join(str(counts[column, row]).rjust(size) for column, size in zip(columns, widths, strict=True))
        for row in rows
    ]
    return "\n".join([*head, *body])
