"""Findings of `zenml-azureml doctor`, as lines and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zenml_azureml.safe_text import safe_name, safe_text

if TYPE_CHECKING:
    from rich.console import Console

    from zenml_azureml.doctor.result import Finding
    from zenml_azureml.step_operator import AzureMLStepOperator

#: Status, the mark before its line, and its colour.
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "unknown": ("?", "yellow")}

#: Width of the longest name of a check.
_NAME_WIDTH = 18


@dataclass(frozen=True)
class Report:
    """The findings for a step operator.

    Attributes:
        operator: Its name.
        workspace: Name of its workspace.
        findings: The findings.
        job: Further members of the JSON object, about the job that was run.
    """

    operator: str
    workspace: str
    findings: tuple[Finding, ...]
    job: dict[str, str] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """True if a check has failed."""
        return any(found.status == "failed" for found in self.findings)

    def as_json(self) -> dict[str, object]:
        """Return the report as the JSON object that `--json` prints."""
        return {
            "operator": self.operator,
            "workspace": self.workspace,
            **self.job,
            "checks": [
                {
                    "check": found.check,
                    "status": found.status.value,
                    "found": found.found,
                    "do_next": found.hint or None,
                }
                for found in self.findings
            ],
        }


def show_findings(operator: AzureMLStepOperator, findings: Iterable[Finding]) -> list[Finding]:
    """Print findings one by one, below the name of their step operator, and return them.

    Args:
        operator: The step operator.
        findings: The findings.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())
    place = safe_name(f"Step operator {operator.name}, workspace {operator.config.workspace_name}")
    console.print(f"{place}\n", style="bold")
    seen = []
    for finding in findings:
        _show(console, finding)
        seen.append(finding)
    console.print(f"\n{_summary(seen)}")
    return seen


def _show(console: Console, finding: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    mark, colour = _MARKS[finding.status.value]
    said = safe_text(finding.found if not finding.hint else f"{finding.found}\n→ {finding.hint}")
    if not sys.stdout.isatty():
        # Whole lines, for tools that search in them.
        console.print(f"{mark} {finding.check:<{_NAME_WIDTH}}  {said.replace(chr(10), ' ')}")
        return
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(min_width=_NAME_WIDTH)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style=colour), finding.check, said)
    console.print(table)


def _summary(findings: list[Finding]) -> str:
    words = {"failed": "failed", "warning": "with a warning", "unknown": "could not run", "ok": "ok"}
    counts = {status: sum(1 for found in findings if found.status == status) for status in words}
    return ", ".join(f"{number} {words[status]}" for status, number in counts.items() if number)
