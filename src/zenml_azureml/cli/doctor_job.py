"""`zenml-azureml doctor --run-job`: asks, runs one job that checks itself, and reports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from zenml.exceptions import RunInterruptedException

from zenml_azureml.cli.findings import Report, show_findings
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.doctor.run_job.plan import plan_job
from zenml_azureml.doctor.run_job.run import CheckRun
from zenml_azureml.doctor.run_job.subject import subject_of
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS

if TYPE_CHECKING:
    from zenml_azureml.step_operator import AzureMLStepOperator


def run_and_report(
    operators: list[AzureMLStepOperator],
    step: str | None,
    image: str | None,
    cloud: str | None,
    *,
    ask: bool,
    as_json: bool,
) -> Report:
    """Run one job on the workspace of a step operator, and report what it finds.

    Args:
        operators: The step operators to choose from, the default one first.
        step: The step whose settings it has; None for those of the step operator.
        image: Its image; None for the last one that ZenML has built.
        cloud: Name of the Azure cloud; None for that of the settings.
        ask: True to ask for confirmation.
        as_json: True to print no report.

    Raises:
        AzureMLError: If the job cannot be submitted.
    """
    with working("Building the job"):
        subject = subject_of(operators, step, image)
        plan = plan_job(subject, cloud)
    echo(plan.planned.announcement(), err=as_json)
    if ask:
        click.confirm("Submit the job?", abort=True)
    operator = subject.operator
    check = CheckRun(plan.workspace, plan.planned, operator.time, lambda sentence: echo(sentence, err=True))
    STOP_SIGNALS.guards.add(check)
    STOP_SIGNALS.notice()
    try:
        outcome = check.run()
    except (KeyboardInterrupt, RunInterruptedException):
        sys.exit(128 + STOP_SIGNALS.last)  # as shells have it
    findings = outcome.findings if as_json else show_findings(operator, outcome.findings)
    job = {"job": outcome.job, "studio_url": outcome.studio_url}
    return Report(operator.name, operator.config.workspace_name, tuple(findings), job)
