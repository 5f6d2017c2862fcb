"""The options that say which workspaces are meant, and errors as a command tells them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zenml_azureml.cli.progress import working
from zenml_azureml.clouds import CLOUDS

if TYPE_CHECKING:
    from zenml_azureml.job_admin.workspaces import Place
    from zenml_azureml.step_operator import AzureMLStepOperator

_Command = TypeVar("_Command", bound=Callable[..., Any])


def operator_options(command: _Command) -> _Command:
    """Add the options that say which step operators are meant."""
    command = click.option(
        "--cloud",
        metavar="NAME",
        help="The Azure cloud of the jobs.  [default: AzureCloud]",
        shell_complete=lambda _context, _parameter, begun: [name for name in CLOUDS if name.startswith(begun)],
    )(command)
    return click.option(
        "--operator", metavar="NAME", help="A step operator.  [default: all Azure ML ones of the active stack]"
    )(command)


def place_options(command: _Command) -> _Command:
    """Add the same, and those that name a workspace where ZenML cannot."""
    command = click.option("--workspace", metavar="NAME", help="Its name; all three belong together.")(command)
    command = click.option("--resource-group", metavar="NAME", help="Its resource group.")(command)
    command = click.option(
        "--subscription", metavar="ID", help="Where ZenML cannot tell which workspace: its subscription."
    )(command)
    return operator_options(command)


def chosen_places(
    operator: str | None, cloud: str | None, subscription: str | None, resource_group: str | None, workspace: str | None
) -> list[Place]:
    """The workspaces that the options mean.

    Raises:
        click.UsageError: If they contradict each other.
        AzureMLError: If there are none.
    """
    from zenml_azureml.job_admin.workspaces import place_at, places_of

    if subscription or resource_group or workspace:
        if not (subscription and resource_group and workspace):
            raise click.UsageError("--subscription, --resource-group and --workspace belong together.")
        if operator:
            raise click.UsageError("--operator and --workspace exclude each other.")
        return [place_at(subscription, resource_group, workspace, cloud)]
    return places_of(chosen_operators(operator), cloud)


def chosen_operators(operator: str | None) -> list[AzureMLStepOperator]:
    """The step operators that `--operator` means.

    Raises:
        AzureMLError: If there are none, or ZenML does not tell.
    """
    from zenml_azureml.exceptions import AzureMLError

    with working("Loading ZenML"):
        from zenml_azureml.job_admin.workspaces import operators

    try:
        with working("Asking ZenML"):
            return operators(operator)
    except AzureMLError:
        raise
    except Exception as error:
        raise AzureMLError(
            f"ZenML does not tell which step operators there are: {error}",
            hint="Look whether its server can be reached: `zenml status`. Without it, jobs can be listed and "
            "cancelled by name or run: `--subscription ID --resource-group NAME --workspace NAME`.",
        ) from error


@contextmanager
def click_errors() -> Iterator[None]:
    """Let a command end with what failed, without a traceback, where that is known.

    Raises:
        click.ClickException: In the place of such an error.
    """
    from zenml_azureml.exceptions import AzureMLError
    from zenml_azureml.settings.aliases import AzureMLSettingsError

    try:
        yield
    except (AzureMLError, AzureMLSettingsError) as error:
        raise click.ClickException(str(error)) from error


def log_to_stderr() -> None:
    """Have ZenML log to stderr: stdout is the answer's."""
    with working("Loading ZenML"):
        import zenml.logger  # noqa: F401 - sets its handlers

    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setStream(sys.stderr)
