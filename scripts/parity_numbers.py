"""The numbers of `make parity` in docs/emulator.md: how many exchanges have the same answer, and what stays different.

`python -m scripts.parity_numbers` writes them; a test fails if they are out of date. No emulator is asked: the tests
of tests/parity hold each exchange to what is declared.
"""

from __future__ import annotations

from pathlib import Path

from tests.parity.declared import DECLARED
from tests.parity.exchange import FOLDERS, Exchange, exchanges_in

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "emulator.md"
BEGIN = "<!-- made by scripts/parity_numbers.py -->\n"
END = "<!-- end of what scripts/parity_numbers.py makes -->\n"


def main() -> None:
    """Replace the old numbers."""
    PAGE.write_text(with_numbers(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_numbers(page: str) -> str:
    """Return the page with the numbers as exchanges and declarations are.

    Args:
        page: The page as it is.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{_tables()}\n{END}{after}"


def _tables() -> str:
    found = {str(folder.relative_to(ROOT)): exchanges_in([folder]) for folder in FOLDERS}
    groups = {
        **{f"recordings in `{name}`": [one for one in all_ if not one.is_partial] for name, all_ in found.items()},
        "excerpts, quotations, examples": [one for all_ in found.values() for one in all_ if one.is_partial],
    }
    lines = ["| exchanges | number | same answer | declared |", "|---|---|---|---|", *map(_row, groups.items())]
    lines += ["", "| declared | reason |", "|---|---|"]
    lines += [f"| `{name}` | {declared.reason} |" for name, declared in sorted(DECLARED.items())]
    return "\n".join(lines) + "\n"


def _row(group: tuple[str, list[Exchange]]) -> str:
    name, exchanges = group
    declared = sum(exchange.name in DECLARED for exchange in exchanges)
    return f"| {name} | {len(exchanges)} | {len(exchanges) - declared} | {declared} |"


if __name__ == "__main__":
    main()
