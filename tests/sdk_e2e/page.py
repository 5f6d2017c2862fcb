"""The page docs/sdk-tests.md: numbers and list, made from what became of the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.sdk_e2e.outcomes import FAILED, NEEDS_FILE, NOT_SERVED, PASSED, SKIPPED, Outcome, counts

PAGE = Path(__file__).parents[2] / "docs" / "sdk-tests.md"
BEGIN = "<!-- made by make sdk-tests -->\n"
#: Stands beside the result of a test that the SDK always skips.
_EXTRA = "; the SDK skips it"
END = "<!-- end of what make sdk-tests makes -->\n"


def write_page(outcomes: Sequence[Outcome], version: str) -> None:
    """Replace the old numbers and the old list."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_made(outcomes, version)}\n{END}{after}", encoding="utf-8")


def _made(outcomes: Sequence[Outcome], version: str) -> str:
    folders = list(dict.fromkeys(outcome.folder for outcome in outcomes))
    numbers = [_row(folder, [found for found in outcomes if found.folder == folder]) for folder in folders]
    lines = [
        f"With azure-ai-ml {version}:",
        "",
        "| tests | passed | not served | need a file | other | the SDK skips: passed here |",
        "|---|---|---|---|---|---|",
        *numbers,
        _row("all", outcomes),
        "",
        "| tests | test | result | operation, file or reason |",
        "|---|---|---|---|",
        *(
            f"| {found.folder} | `{found.name}` | {found.kind}{_EXTRA * found.is_extra} | {_cell(found.detail)} |"
            for found in outcomes
            if found.kind != SKIPPED
        ),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, outcomes: Iterable[Outcome]) -> str:
    found = list(outcomes)
    number = counts(outcome for outcome in found if not outcome.is_extra)
    kinds = " | ".join(str(number[kind]) for kind in (NOT_SERVED, NEEDS_FILE, FAILED))
    skipped = [outcome for outcome in found if outcome.is_extra or outcome.kind == SKIPPED]
    extra = sum(outcome.kind == PASSED for outcome in skipped)
    return f"| {name} | {number[PASSED]} of {number['of']} | {kinds} | {extra} of {len(skipped)} |"


def _cell(text: str) -> str:
    short = text if len(text) <= 120 else f"{text[:120]}…"
    return f"`{short}`".replace("|", "\\|") if text else ""
