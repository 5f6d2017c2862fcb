"""A table in docs/testing.md of how long each target of `.ci/run` takes: `scripts/ci_times.py REPEATED < TIMES`.

Each line of TIMES has targets that were made side by side, and their seconds; each of REPEATED a test that failed, and
passed when it was repeated.
Standard library only, since `.ci/run` calls it outside of `.venv`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "testing.md"

#: What stands around the table.
BEGIN, END = "<!-- written by .ci/run -->\n", "<!-- end of what .ci/run writes -->\n"


def main() -> None:
    """Replace the old table with a new one."""
    times = [(targets, float(seconds)) for targets, seconds in (line.rsplit(maxsplit=1) for line in sys.stdin)]
    repeated = Path(sys.argv[1]).read_text().split("\n")[:-1]
    PAGE.write_text(with_table(PAGE.read_text(), table(times, os.cpu_count() or 1, date.today(), repeated)))


def table(times: Iterable[tuple[str, float]], cores: int, day: date, repeated: Sequence[str] = ()) -> str:
    """Return the table, with a line about the machine.

    Args:
        times: Targets that were made side by side, and their seconds.
        cores: Of the machine.
        day: Of the run.
        repeated: Tests that failed and passed when they were repeated alone.
    """
    times = list(times)
    rows = [f"| `make {targets}` | {seconds / 60:.1f} |" for targets, seconds in times]
    total = sum(seconds for _, seconds in times) / 60
    lines = [
        f"The last run, of {day.isoformat()}, on {cores} cores:",
        "",
        "| target | minutes |",
        "|---|---|",
        *rows,
        f"| all | {total:.1f} |",
    ]
    if repeated:
        lines += ["", "Failed at first, and passed when repeated alone:", "", *(f"- `{test}`" for test in repeated)]
    return "\n".join(lines) + "\n"


def with_table(page: str, new: str) -> str:
    """Return the page with another table.

    Args:
        page: The page as it is.
        new: The table.

    Raises:
        ValueError: If the page has no place for it.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no lines {BEGIN.strip()} and {END.strip()}.")
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


if __name__ == "__main__":
    main()
