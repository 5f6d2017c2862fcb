"""Takeover of a job whose orchestrator is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException

from zenml_azureml import tags
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin import run_status
from zenml_azureml.job_admin.inventory import is_id
from zenml_azureml.job_admin.workspaces import in_words
from zenml_azureml.run_store.server import server_id
from zenml_azureml.run_store.server_retries import AFTER_INTERRUPTION, ServerRetries, retrying

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.job_admin.workspaces import Place
    from zenml_azureml.step_operator import AzureMLStepOperator


def step_run_of(job_or_step_run: str, places: list[Place]) -> StepRunResponse:
    """Return the step run of a job.

    Args:
        job_or_step_run: Name of a job, or id of a step run.
        places: The workspaces to search for the job.

    Raises:
        AzureMLError: If there is no such job, or this ZenML server has no such step run.
    """
    step_run_id = job_or_step_run if is_id(job_or_step_run) else _tagged_step_run(job_or_step_run, places)
    try:
        return Client().get_run_step(UUID(step_run_id))
    except KeyError as error:
        raise AzureMLError(
            f"The ZenML server has no step run `{step_run_id}`.",
            hint="To cancel a job whose step run was deleted: zenml-azureml jobs cancel --orphans",
        ) from error


def _tagged_step_run(job_name: str, places: list[Place]) -> str:
    for place in places:
        job = place.workspace.find_job(job_name)
        if job is None:
            continue
        named, here = job.tags.get(tags.STEP_RUN_ID, ""), str(server_id())
        if not is_id(named) or job.tags.get(tags.SERVER_ID) != here:
            raise AzureMLError(
                f"The job `{job_name}` belongs to another ZenML server than {here}, according to its tags.",
                hint="Log in to the server of its run: `zenml login URL`.",
            )
        return named
    raise no_such_job(job_name, places)


def no_such_job(name: str, places: list[Place]) -> AzureMLError:
    """Return the error that no workspace has a job."""
    return AzureMLError(
        f"There is no job `{name}` in {in_words(places)}.",
        hint="To list the jobs: `zenml-azureml jobs list --all`.",
    )


def operator_of(step_run: StepRunResponse, operators: list[AzureMLStepOperator]) -> AzureMLStepOperator:
    """Return the step operator that submitted a step's job.

    Args:
        step_run: The step run.
        operators: The step operators to choose from, the default one first.

    Raises:
        AzureMLError: If it is none of them.
    """
    name = step_run.config.step_operator
    if not isinstance(name, str):
        return operators[0]
    for operator in operators:
        if operator.name == name:
            return operator
    raise AzureMLError(
        f"The step `{step_run.name}` ran on the step operator `{name}`, which is not in the active stack.",
        hint=f"Name it: `--operator {name}`.",
    )


def server_timeout(step_run: StepRunResponse, operator: AzureMLStepOperator) -> timedelta:
    """Return how long ZenML's server may be unavailable, according to a step's settings."""
    return timedelta(minutes=operator.get_settings(step_run).max_unreachable_minutes)


def wait_for_end(step_run: StepRunResponse, operator: AzureMLStepOperator, patience: timedelta) -> ExecutionStatus:
    """Wait for the end of a step's job as its orchestrator would: show its log, and report the end to the server.

    Args:
        step_run: The step run.
        operator: The step operator that submitted its job.
        patience: Time to wait for the original orchestrator to report the end first.

    Returns:
        The status of the step at its end.

    Raises:
        AzureMLError: If the step failed, with the cause, Azure's message, the end of the log and the link.
        RunStoppedException: If the run was stopped.
    """
    try:
        status = operator.wait(step_run)
        if status is ExecutionStatus.COMPLETED and step_run.config.command is not None:
            with retrying(ServerRetries(server_timeout(step_run, operator))):
                run_status.mark_command_completed(step_run, patience)
        return status
    except (AzureMLError, RunStoppedException):
        raise
    except BaseException:
        # The operator has cancelled the job, and here no launcher reports that to the server.
        reason = AzureMLError("Waiting with `zenml-azureml jobs wait` was interrupted.")
        with retrying(ServerRetries(AFTER_INTERRUPTION)):
            run_status.mark_step_stopped(step_run.id, reason)
        raise
    finally:
        operator.cleanup_step_submission(step_run)
