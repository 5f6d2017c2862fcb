"""What the suite prints: the table of what has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.chaos.catalogue import EVENTS, FAULTS, PAIRS, PHASES, prefix_of
from tests.chaos.mutants.mutant import Mutant
from tests.chaos.rules import BY_ANY_CAUSE
from tests.chaos.task import Result, Task


def pair_table(happened: Counter[tuple[str, str]]) -> str:
    """How often each fault and each event has happened at requests of each phase; `-` where it cannot."""
    further = [phase for phase in dict.fromkeys(phase for phase, _ in PAIRS) if prefix_of(phase)]
    columns, rows = [*PHASES, *further], [*FAULTS, *EVENTS]
    width = max(map(len, rows))
    words = [column.split(" ") for column in columns]
    widths = [max(4, *(len(word) for word in column)) for column in words]
    lines = []
    for line in range(max(map(len, words))):
        cells = [
            (column[line] if line < len(column) else "").rjust(size) for column, size in zip(words, widths, strict=True)
        ]
        lines.append(" " * width + "  " + " ".join(cells))
    possible = set(PAIRS)
    for row in rows:
        cells = [
            (str(happened[column, row]) if (column, row) in possible else "-").rjust(size)
            for column, size in zip(columns, widths, strict=True)
        ]
        lines.append(row.ljust(width) + "  " + " ".join(cells))
    return "\n".join(lines)


def missing(pairs: Iterable[tuple[str, str]], seen: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs that have not happened."""
    return [pair for pair in pairs if not seen[pair]]


def noticed(mutant: Mutant, results: Iterable[tuple[Task, Result]]) -> bool:
    """Whether a mutant was noticed: by the rule that it breaks, where nothing else tells of a mere crash."""
    for _, result in results:
        rules = {rule for rule, _ in result.broken}
        if mutant.rule in rules and not (rules & BY_ANY_CAUSE - {mutant.rule}):
            return True
    return False
