"""`zenml-azureml jobs wait`: waits for a job, and reports the end of its step and run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException

from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin import run_status
from zenml_azureml.job_admin.takeover import operator_of, server_timeout, step_run_of, wait_for_end
from zenml_azureml.job_admin.workspaces import places_of
from zenml_azureml.run_store.server_retries import ServerRetries, ServerUnavailableError, retrying

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from zenml_azureml.step_operator import AzureMLStepOperator


def wait_for(
    job_or_step_run: str,
    operators: list[AzureMLStepOperator],
    cloud: str | None,
    patience: timedelta,
    *,
    as_json: bool = False,
) -> bool:
    """Wait for the end of a job, and update its step and run in ZenML.

    Args:
        job_or_step_run: Name of the job, or id of its step run.
        operators: The step operators that may have submitted it.
        cloud: Name of the cloud that it is in; None for the public one.
        patience: Time to wait for the original orchestrator to report the result first.
        as_json: True to print JSON.

    Returns:
        True if the step succeeded.

    Raises:
        AzureMLError: If there is no such job.
    """
    with working("Looking for the job"):
        step_run = step_run_of(job_or_step_run, places_of(operators, cloud))
        operator = operator_of(step_run, operators)
    echo(f"Waiting for the job of the step `{step_run.name}` ({step_run.id}).", err=as_json)
    problem = ""
    try:
        status = wait_for_end(step_run, operator, patience)
    except ServerUnavailableError:
        raise  # nothing is known of the run either
    except AzureMLError as error:
        status, problem = ExecutionStatus.FAILED, str(error)
    except RunStoppedException as error:
        status, problem = ExecutionStatus.STOPPED, str(error)
    if problem:
        echo(problem, err=True)
    echo(f"The step `{step_run.name}` is {status.value}.", err=as_json)
    with retrying(ServerRetries(server_timeout(step_run, operator))):
        run = run_status.settle(step_run.pipeline_run_id, patience)
    if as_json:
        result = {"step": step_run.name, "step_run_id": str(step_run.id), "status": status.value}
        result |= {"run": run.name, "run_id": str(run.id), "run_status": run.status.value}
        echo(json.dumps({**result, "problem": problem or None}, indent=2))
    else:
        _report_run(run, retry=status.is_successful)
    return status.is_successful


def _report_run(run: PipelineRunResponse, *, retry: bool) -> None:
    echo(f"The run `{run.name}` is {run.status.value}.")
    unfinished = run_status.unfinished_steps(run)
    if unfinished:
        echo(f"Steps that are still running: {', '.join(f'`{name}`' for name in unfinished)}.")
    elif not run.status.is_finished:
        echo(
            "None of its steps is running. If its orchestrator is gone, stop the run: "
            f"zenml-azureml jobs cancel --run {run.id}"
        )
    elif retry and run.status is ExecutionStatus.FAILED and run.snapshot is not None and run.snapshot.is_dynamic:
        echo(f"To continue after its completed steps: zenml pipeline runs retry {run.id}")
