"""`zenml-azureml demo`: a pipeline on an Azure ML emulator."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from zenml_azureml.cli.emulator_client import StateFolder
from zenml_azureml.cli.extras import require_extra


@click.command(short_help="Run an example pipeline on the emulator.")
@click.option(
    "--state",
    type=StateFolder(),
    help="Folder to use instead of a temporary one; must be empty or missing.",
)
@click.option("--keep", is_flag=True, help="Keep the emulator running, and keep the folder.")
@click.option("--with-failure", is_flag=True, help="Then run it again with a step that fails, to see its error.")
def demo(state: Path | None, keep: bool, with_failure: bool) -> None:
    """Train a model with a ZenML pipeline on an Azure ML emulator.

    Needs no Azure account. At the end it prints where each step ran.
    """
    require_extra("demo", "aiohttp", "psutil", "sklearn", "sqlmodel", "trustme")
    from zenml_azureml.demo.run import DemoError, run_demo

    try:
        succeeded = run_demo(state, keep=keep, with_failure=with_failure)
    except DemoError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if succeeded else 1)
