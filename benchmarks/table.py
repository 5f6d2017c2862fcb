"""The table of results."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        measured: What was measured, and on how many runs.
        built_in: Of ZenML's built-in operator; empty where there is nothing to compare with.
        ours: Of this package.
        target: What was set as the target; empty for none.
        met: Whether it is met; None where there is none.
    """

    measured: str
    built_in: str
    ours: str
    target: str = ""
    met: bool | None = None


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    verdicts = {True: "met", False: "**missed**", None: ""}
    cells = [("measured", "built-in", "ours", "target", "")]
    cells += [(row.measured, row.built_in, row.ours, row.target, verdicts[row.met]) for row in rows]
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    return "\n".join([lines[0], "|---|---|---|---|---|", *lines[1:]])


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def seconds(value: float) -> str:
    """`0.43 s`, `12.1 s`."""
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
