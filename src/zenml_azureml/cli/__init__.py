"""The `zenml-azureml` command."""

from __future__ import annotations

import io
import sys
from contextlib import suppress

import click

from zenml_azureml.cli.demo import demo
from zenml_azureml.cli.doctor import doctor
from zenml_azureml.cli.emulator import emulator
from zenml_azureml.cli.jobs import jobs
from zenml_azureml.cli.sizes import sizes
from zenml_azureml.cli.spec import spec


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zenml-azureml")
def main() -> None:
    """Run ZenML steps as Azure Machine Learning jobs, or try it without Azure."""
    # Logs and names can have any character; the console of a service may have only ASCII.
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.encoding.lower().startswith("utf"):
        with suppress(OSError):  # the stream keeps its errors
            sys.stdout.reconfigure(errors="replace")


main.add_command(demo)
main.add_command(doctor)
main.add_command(emulator)
main.add_command(jobs)
main.add_command(sizes)
main.add_command(spec)
