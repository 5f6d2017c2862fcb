"""`zenml-azureml demo`: a pipeline on Azure ML, without Azure."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from zenml_azureml.cli.emulator_client import StateFolder
from zenml_azureml.cli.extras import require_extra


@click.command()
@click.option(
    "--state",
    type=StateFolder(),
    help="Work in this folder instead of a temporary one; it must be empty or missing.",
)
@click.option("--keep", is_flag=True, help="Leave the emulator running and the folder in place.")
def demo(state: Path | None, keep: bool) -> None:
    """Train a model on an Azure ML emulator, from nothing to a table of what ran where."""
    require_extra("demo", "aiohttp", "psutil", "sklearn", "sqlmodel", "trustme")
    from zenml_azureml.demo.run import DemoError, run_demo

    try:
        succeeded = run_demo(state, keep=keep)
    except DemoError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if succeeded else 1)
