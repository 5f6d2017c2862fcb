"""Options that select workspaces, and the errors of commands."""

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
    from zenml_azureml.job_admin.inventory import FoundAt
    from zenml_azureml.job_admin.workspaces import Place
    from zenml_azureml.step_operator import AzureMLStepOperator

_Command = TypeVar("_Command", bound=Callable[..., Any])


def operator_options(command: _Command) -> _Command:
    """Add the options that select step operators."""
    command = click.option(
        "--cloud",
        metavar="NAME",
        help="Azure cloud of the workspace.  [default: AzureCloud]",
        shell_complete=lambda _context, _parameter, begun: [name for name in CLOUDS if name.startswith(begun)],
    )(command)
    return click.option(
        "--operator", metavar="NAME", help="Step operator.  [default: all Azure ML step operators of the active stack]"
    )(command)


def place_options(command: _Command) -> _Command:
    """Add the options that select step operators or name a workspace directly."""
    command = click.option(
        "--workspace",
        metavar="NAME",
        help="Azure ML workspace. Use with --subscription and --resource-group instead of a step operator.",
    )(command)
    command = click.option("--resource-group", metavar="NAME", help="Resource group of the workspace.")(command)
    command = click.option("--subscription", metavar="ID", help="Subscription of the workspace.")(command)
    return operator_options(command)


def chosen_places(
    operator: str | None, cloud: str | None, subscription: str | None, resource_group: str | None, workspace: str | None
) -> list[Place]:
    """Return the workspaces that the options select.

    Raises:
        click.UsageError: If they contradict each other.
        AzureMLError: If there are none.
    """
    from zenml_azureml.job_admin.workspaces import place_at, places_of

    if subscription or resource_group or workspace:
        if not (subscription and resource_group and workspace):
            raise click.UsageError("Use --subscription, --resource-group and --workspace together.")
        if operator:
            raise click.UsageError("--operator and --workspace cannot be combined.")
        return [place_at(subscription, resource_group, workspace, cloud)]
    return places_of(chosen_operators(operator), cloud)


def chosen_operators(operator: str | None) -> list[AzureMLStepOperator]:
    """Return the step operators that `--operator` selects.

    Raises:
        AzureMLError: If there are none, or the ZenML server is unavailable.
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
            f"Failed to read the step operators from ZenML: {error}",
            hint="Check that the ZenML server is reachable: `zenml status`. Without it, jobs can be listed and "
            "cancelled by name or run: `--subscription ID --resource-group NAME --workspace NAME`.",
        ) from error


def found_job(job_or_step_run: str, places: list[Place]) -> FoundAt:
    """Return a job and its workspace.

    Raises:
        AzureMLError: If there is no such job.
    """
    from zenml_azureml.job_admin.inventory import find_job, job_name
    from zenml_azureml.job_admin.takeover import no_such_job

    with working("Looking for the job"):
        found = find_job(job_or_step_run, places)
    if found is None:
        raise no_such_job(job_name(job_or_step_run), places)
    return found


@contextmanager
def click_errors() -> Iterator[None]:
    """Turn the package's errors into errors of click, which have no traceback.

    Raises:
        click.ClickException: Instead of such an error.
    """
    from zenml_azureml.exceptions import AzureMLError, AzureMLSettingsError

    try:
        yield
    except (AzureMLError, AzureMLSettingsError) as error:
        raise click.ClickException(str(error)) from error


def log_to_stderr() -> None:
    """Have ZenML log to stderr: stdout is for the result of the command."""
    with working("Loading ZenML"):
        import zenml.logger  # noqa: F401 - sets its handlers

    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setStream(sys.stderr)
