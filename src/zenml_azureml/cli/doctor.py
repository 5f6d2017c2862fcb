"""`zenml-azureml doctor`: what is in the way of steps on Azure ML, and what to do about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from zenml_azureml.cli.options import chosen_operators, click_errors, log_to_stderr, operator_options
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import counted
from zenml_azureml.safe_text import safe_name, safe_text

if TYPE_CHECKING:
    from rich.console import Console

    from zenml_azureml.doctor.result import Finding
    from zenml_azureml.step_operator import AzureMLStepOperator

#: Status, what stands before its line, and its colour.
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "unknown": ("?", "yellow")}

#: Width of the longest name of a check.
_NAME_WIDTH = 18


@dataclass(frozen=True)
class _Report:
    operator: str
    workspace: str
    findings: tuple[Finding, ...]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@operator_options
def doctor(*, as_json: bool, operator: str | None, cloud: str | None) -> None:
    """Check all that steps on Azure ML need, and say what to do where something is missing.

    Looks only, and changes nothing. Exits with 1 if a check has failed; a warning (!) is of what only some steps mind,
    and a question mark of what cannot be looked at from here.
    """
    log_to_stderr()
    reports = []
    with click_errors():
        for chosen in chosen_operators(operator):
            found = _findings(chosen, cloud)
            findings = list(found) if as_json else _shown(chosen, found)
            reports.append(_Report(chosen.name, chosen.config.workspace_name, tuple(findings)))
    if as_json:
        echo(json.dumps([_as_json(report) for report in reports], indent=2))
    sys.exit(1 if any(found.status == "failed" for report in reports for found in report.findings) else 0)


def _findings(operator: AzureMLStepOperator, cloud: str | None) -> Iterator[Finding]:
    from zenml_azureml.doctor.runner import NUMBER_OF_CHECKS, examine

    return counted("Checking", examine(operator, cloud, datetime.now(timezone.utc)), NUMBER_OF_CHECKS)


def _shown(operator: AzureMLStepOperator, findings: Iterator[Finding]) -> list[Finding]:
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
        # Whole lines for whoever searches in them.
        console.print(f"{mark} {finding.check:<{_NAME_WIDTH}}  {said.replace(chr(10), ' ')}")
        return
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(min_width=_NAME_WIDTH)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style=colour), finding.check, said)
    console.print(table)


def _summary(findings: list[Finding]) -> str:
    words = {"failed": "failed", "warning": "with a warning", "unknown": "could not be looked at", "ok": "ok"}
    counts = {status: sum(1 for found in findings if found.status == status) for status in words}
    return ", ".join(f"{number} {words[status]}" for status, number in counts.items() if number)


def _as_json(report: _Report) -> dict[str, object]:
    return {
        "operator": report.operator,
        "workspace": report.workspace,
        "checks": [
            {
                "check": found.check,
                "status": found.status.value,
                "found": found.found,
                "do_next": found.hint or None,
            }
            for found in report.findings
        ],
    }
