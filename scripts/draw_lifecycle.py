"""The diagram and the table of a step's states in docs/architecture.md, drawn from the transition table.

`python -m scripts.draw_lifecycle` writes them; a test fails if they are out of date.
"""

from __future__ import annotations

import re
from pathlib import Path

from zenml_azureml.lifecycle.state import FINAL, StepPhase
from zenml_azureml.lifecycle.transitions import TABLE, Guard, Row, has_target, may_resubmit

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"

#: What stands around the generated part.
BEGIN, END = "<!-- drawn by scripts/draw_lifecycle.py -->\n", "<!-- end of what scripts/draw_lifecycle.py draws -->\n"

_GUARDS: dict[Guard, str] = {
    has_target: "another target is left",
    may_resubmit: "the step has not reported its end, a target is left",
}


def main() -> None:
    """Replace the old diagram and table."""
    PAGE.write_text(with_drawing(PAGE.read_text()))


def with_drawing(page: str) -> str:
    """Return the page with the diagram and the table as the transitions are.

    Args:
        page: The page as it is.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{diagram()}\n{table()}\n{END}{after}"


def diagram() -> str:
    """Return the states and the ways between them, in the language of Mermaid."""
    ways: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        for phase in row.phases:
            for following in _following(row, phase):
                if following is not phase:
                    ways.setdefault((phase.name, following.name), []).append(_event(row))
    lines = [f"    {start} --> {end}: {', '.join(dict.fromkeys(events))}" for (start, end), events in ways.items()]
    ends = [f"    {phase.name} --> [*]" for phase in StepPhase if phase in FINAL]
    return (
        "\n".join(
            [
                "<!-- not run: a diagram -->",
                "```mermaid",
                "stateDiagram-v2",
                "    [*] --> SUBMITTING",
                *lines,
                *ends,
                "```",
            ]
        )
        + "\n"
    )


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
