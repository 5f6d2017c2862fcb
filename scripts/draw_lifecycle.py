"""A step's states, drawn from the transition table: the picture docs/lifecycle.svg, the table in docs/architecture.md.

`python -m scripts.draw_lifecycle` writes them; a test fails if they are out of date.
"""

from __future__ import annotations

import re
from pathlib import Path

from scripts.lifecycle_svg import draw
from zenml_azureml.lifecycle.state import FINAL, StepPhase
from zenml_azureml.lifecycle.transitions import TABLE, Condition, Row, has_target, may_resubmit

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE = DOCS / "architecture.md", DOCS / "lifecycle.svg"

#: What stands around the generated part.
BEGIN, END = "<!-- drawn by scripts/draw_lifecycle.py -->\n", "<!-- end of what scripts/draw_lifecycle.py draws -->\n"

_GUARDS: dict[Condition, str] = {
    has_target: "another target is left",
    may_resubmit: "the step has not reported its end, a target is left",
}


def main() -> None:
    """Replace the old picture and table."""
    PICTURE.write_text(picture())
    PAGE.write_text(with_table(PAGE.read_text()))


def with_table(page: str) -> str:
    """Return the page with the table as the transitions are.

    Args:
        page: The page as it is.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def picture() -> str:
    """Return the phases and the ways between them, as SVG."""
    ways: dict[tuple[StepPhase, StepPhase], dict[str, None]] = {}
    for row in TABLE:
        for phase in row.phases:
            for following in _following(row, phase):
                if following is not phase:
                    ways.setdefault((phase, following), {})[_event(row)] = None
    return draw({way: list(events) for way, events in ways.items()})


def table() -> str:
    """Return the rows of the transition table."""
    lines = ["| phase | event | if | next phase | actions |", "|---|---|---|---|---|"]
    for row in TABLE:
        phases = ", ".join(phase.value for phase in row.phases)
        following = row.next.value if row.next else "succeeded, failed or stopped, as the job ended"
        actions = "; ".join(action.value for action in row.actions)
        lines.append(f"| {phases} | {_event(row)} | {_GUARDS.get(row.guard, '')} | {following} | {actions} |")
    return "\n".join(lines) + "\n"


def _following(row: Row, phase: StepPhase) -> tuple[StepPhase, ...]:
    if row.next is not None:
        return (row.next,)
    return tuple(final for final in StepPhase if final in FINAL) if row.actions else (phase,)


def _event(row: Row) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", row.event.__name__).lower()


if __name__ == "__main__":
    main()
