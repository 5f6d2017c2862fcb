"""`zenml-azureml doctor`: checks of everything that steps on Azure ML need."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from zenml_azureml.cli.findings import Report, show_findings
from zenml_azureml.cli.options import chosen_operators, click_errors, log_to_stderr, operator_options
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import counted

if TYPE_CHECKING:
    from zenml_azureml.doctor.result import Finding
    from zenml_azureml.step_operator import AzureMLStepOperator


@click.command(short_help="Check everything that steps need.")
@click.option("--run-job", is_flag=True, help="Submit one small job, and check from inside it what steps need.")
@click.option(
    "--step",
    metavar="STEP",
    help="With --run-job: step whose settings and image the job has, as for `spec`.  [default: the step operator's]",
)
@click.option("--image", metavar="IMAGE", help="With --run-job: image of the job.  [default: the last one built]")
@click.option("--yes", "-y", is_flag=True, help="With --run-job: skip the confirmation prompt.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON. With --run-job, requires --yes.")
@operator_options
def doctor(
    *,
    run_job: bool,
    step: str | None,
    image: str | None,
    yes: bool,
    as_json: bool,
    operator: str | None,
    cloud: str | None,
) -> None:
    """Check that everything steps need on Azure ML is in place.

    Prints the next steps for each problem. Changes nothing, except with --run-job. Exit code 1 if a check fails; `!`
    marks warnings, which affect only some steps, and `?` marks checks that could not run.

    With --run-job, submits one small job as a step would, and reports what it finds from the inside. Shows the price
    and asks for confirmation first. Ctrl+C cancels the job.
    """
    if not run_job and (step or image or yes):
        raise click.UsageError("--step, --image and --yes require --run-job.")
    if run_job and as_json and not yes:
        raise click.UsageError("--json requires --yes, because it shows no confirmation prompt.")
    log_to_stderr()
    with click_errors():
        operators = chosen_operators(operator)
        if run_job:
            from zenml_azureml.cli.doctor_job import run_and_report

            reports = [run_and_report(operators, step, image, cloud, ask=not yes, as_json=as_json)]
        else:
            reports = [_examined(chosen, cloud, as_json=as_json) for chosen in operators]
    if as_json:
        echo(json.dumps([report.as_json() for report in reports], indent=2))
    sys.exit(1 if any(report.has_failed for report in reports) else 0)


def _examined(operator: AzureMLStepOperator, cloud: str | None, *, as_json: bool) -> Report:
    found = _findings(operator, cloud)
    findings = list(found) if as_json else show_findings(operator, found)
    return Report(operator.name, operator.config.workspace_name, tuple(findings))


def _findings(operator: AzureMLStepOperator, cloud: str | None) -> Iterator[Finding]:
    from zenml_azureml.doctor.runner import NUMBER_OF_CHECKS, examine

    return counted("Checking", examine(operator, cloud, datetime.now(timezone.utc)), NUMBER_OF_CHECKS)
