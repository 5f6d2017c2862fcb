"""`zenml-azureml spec`: the Azure ML job of a step, as YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zenml_azureml.cli.options import chosen_operators, click_errors, log_to_stderr
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working

if TYPE_CHECKING:
    from zenml_azureml.job_admin.preview import Preview


@click.command(short_help="Print the job of a step, without submitting.")
@click.argument("step")
@click.option("--run", metavar="RUN", help="Run that contains STEP, by name or ID.  [default: the latest]")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run configuration file of the pipeline, as for `with_options(config_path=...)`.",
)
@click.option(
    "--operator", metavar="NAME", help="Step operator.  [default: all Azure ML step operators of the active stack]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def spec(*, step: str, run: str | None, config: Path | None, operator: str | None, as_json: bool) -> None:
    """Print the Azure ML job of a step as YAML for the Azure CLI, without submitting it.

    STEP is MODULE:PIPELINE.STEP for a step in your code, e.g. train:training.trainer. Placeholders stand for values
    that are known at run time only. For a step of a past run, STEP is the name of the step, the ID of the step run or
    the name of the job.

    Values that may be secrets are redacted. Secrets that the job reads from a key vault are named in a comment.
    """
    in_code = ":" in step
    if in_code and run is not None:
        raise click.UsageError("--run requires the name of a step of a past run.")
    if config is not None and not in_code:
        raise click.UsageError("--config requires a step in your code: MODULE:PIPELINE.STEP.")
    log_to_stderr()
    with click_errors(), working("Building the job"):
        preview = _preview_in_code(step, config, operator) if in_code else _preview_of_run(step, run, operator)
    if as_json:
        echo(json.dumps(preview.document, indent=2))
        return
    from zenml_azureml.azure.jobs.manifest import as_yaml

    for line in _notes(preview):
        echo(f"# {line}")
    echo(as_yaml(preview.document), nl=False)


def _preview_in_code(path: str, config: Path | None, operator: str | None) -> Preview:
    from zenml_azureml.job_admin.preview import preview_of_step
    from zenml_azureml.job_admin.step_lookup import compile_pipeline, operator_for

    operators = chosen_operators(operator)
    snapshot, step = compile_pipeline(path, config)
    wanted = snapshot.step_configurations[step].config.step_operator
    return preview_of_step(snapshot, step, operator_for(wanted, step, operators))


def _preview_of_run(step: str, run: str | None, operator: str | None) -> Preview:
    from zenml_azureml.job_admin.preview import preview_of_step_run
    from zenml_azureml.job_admin.step_lookup import find_step_run, operator_for

    operators = chosen_operators(operator)
    step_run = find_step_run(step, run)
    return preview_of_step_run(step_run, operator_for(step_run.config.step_operator, step_run.name, operators))


def _notes(preview: Preview) -> list[str]:
    """Return the comments above the job."""
    notes = []
    if preview.is_built:
        notes += [
            "The step operator registers the environment before it submits the job. To register it yourself:",
            preview.register,
        ]
    else:
        notes.append("ZenML builds the image when the pipeline runs; the environment is named after it.")
    if preview.placeholders:
        notes.append(f"Known at run time: {', '.join(preview.placeholders)}.")
    if preview.cost:
        notes.append(preview.cost)
    if preview.by_vault:
        notes.append(f"In the key vault instead of the job: {', '.join(preview.by_vault)}.")
    if preview.perhaps_by_vault:
        names = ", ".join(preview.perhaps_by_vault)
        notes.append(f"In a key vault instead of the job, if one can be used (`secrets_via` is auto): {names}.")
    if "REDACTED" in str(preview.document):
        notes.append("REDACTED stands for a value that may be a secret.")
    return notes
