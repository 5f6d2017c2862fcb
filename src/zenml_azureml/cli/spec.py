"""`zenml-azureml spec`: the job that a step is, as YAML."""

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


@click.command()
@click.argument("step")
@click.option("--run", metavar="RUN", help="The run that STEP is a step of, by its name or id.  [default: the latest]")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run configuration of the pipeline, as `with_options(config_path=...)` takes it.",
)
@click.option("--operator", metavar="NAME", help="A step operator.  [default: all Azure ML ones of the active stack]")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
def spec(*, step: str, run: str | None, config: Path | None, operator: str | None, as_json: bool) -> None:
    """Print the job that a step is, as `az ml job create --file` takes it. Submits nothing.

    STEP is MODULE:PIPELINE.STEP for a step in your code, e.g. train:training.trainer, with placeholders for what is
    known at run time only. Or it is a step of a past run: its name, the id of its step run, or the name of its job.

    Values that may be secrets are redacted; those that travel by a key vault are not in it, and named above it.
    """
    in_code = ":" in step
    if in_code and run is not None:
        raise click.UsageError("--run is for a step of a past run, given by its name.")
    if config is not None and not in_code:
        raise click.UsageError("--config is for a step in your code: MODULE:PIPELINE.STEP.")
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
    """What stands above the job."""
    environment, _, version = str(preview.document["environment"]).removeprefix("azureml:").rpartition(":")
    notes = []
    if preview.is_built:
        notes += [
            "The step operator registers the environment before it submits the job. By hand:",
            f"az ml environment create --name {environment} --version {version} --image {preview.image}",
        ]
    else:
        notes.append("ZenML builds the image when the pipeline runs; the environment is named after it.")
    if preview.placeholders:
        notes.append(f"Known at run time: {', '.join(preview.placeholders)}.")
    if preview.by_vault:
        notes.append(f"By the key vault, and not in the job: {', '.join(preview.by_vault)}.")
    if preview.perhaps_by_vault:
        names = ", ".join(preview.perhaps_by_vault)
        notes.append(f"By a key vault, and not in the job, where one can be used (`secrets_via` is auto): {names}.")
    if "REDACTED" in str(preview.document):
        notes.append("REDACTED stands for what may be a secret.")
    return notes
