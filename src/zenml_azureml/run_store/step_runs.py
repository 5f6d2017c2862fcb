"""Reads and writes step runs on ZenML's server. The server's data takes precedence over that of this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.exceptions import IllegalOperationError
from zenml.metadata.metadata_types import Uri
from zenml.models import ExceptionInfo, StepRunUpdate
from zenml.orchestrators.publish_utils import (
    publish_step_run_metadata,
    publish_step_run_status_update,
)
from zenml.utils.pagination_utils import depaginate

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store import job_names
from zenml_azureml.run_store.server_retries import ask
from zenml_azureml.secrets.known_values import masked_metadata

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.azure.jobs.submitter import SubmittedJob

# The metadata of all components of a stack share one flat dictionary per step run, hence the prefix.
JOB_NAME_KEY = "azureml_job_name"
JOB_ID_KEY = "azureml_job_id"
STUDIO_URL_KEY = "azureml_studio_url"
COMPUTE_KEY = "azureml_compute"
VM_SIZE_KEY = "azureml_vm_size"
PRICE_KEY = "azureml_usd_per_hour_and_node"
VAULT_SECRET_KEY = "azureml_vault_secret"  # noqa: S105 - its address

#: Beginning of this package's error about a job that has ended.
OUR_WORDS = "The Azure ML job of step"

#: Reason for cancelling the jobs of a run that was stopped.
STOPPED_REASON = "the run was stopped"

#: Reason for cancelling the jobs of a run whose parent run was stopped.
PARENT_STOPPED_REASON = "the parent run was stopped"

#: Statuses of a step run whose code has not reported its end.
UNREPORTED = frozenset({ExecutionStatus.INITIALIZING, ExecutionStatus.PROVISIONING, ExecutionStatus.RUNNING})

_STOPPED_RUN_STATUSES = frozenset({ExecutionStatus.STOPPING, ExecutionStatus.STOPPED})


def recorded_job_name(step_run: StepRunResponse) -> str:
    """Return the name of a step run's job; a recorded name takes precedence, since later versions may use others."""
    recorded = step_run.run_metadata.get(JOB_NAME_KEY)
    return str(recorded) if recorded else job_names.job_name_of(step_run.id)


def recorded_job_id(step_run: StepRunResponse) -> str:
    """Return the ARM id of a step run's job, which names its workspace; empty if it is not recorded."""
    return str(step_run.run_metadata.get(JOB_ID_KEY) or "")


def recorded_studio_url(step_run: StepRunResponse) -> str:
    """Return the page of a step run's job in Studio; empty if it is not recorded."""
    return str(step_run.run_metadata.get(STUDIO_URL_KEY) or "")


def recorded_vault_secret(step_run: StepRunResponse) -> str:
    """Return the address of the key vault secret of a step run's job; empty if none is recorded."""
    return str(step_run.run_metadata.get(VAULT_SECRET_KEY) or "")


def is_recorded(step_run: StepRunResponse) -> bool:
    """True if Azure has created a job of a step run, as far as this process knows."""
    return JOB_NAME_KEY in step_run.run_metadata


def record_job(
    step_run: StepRunResponse, component_id: UUID, job: SubmittedJob, more: Mapping[str, Any] | None = None
) -> None:
    """Save a step run's job as metadata, on the server and in the step run object.

    Args:
        step_run: The step run.
        component_id: The step operator.
        job: Its newest job.
        more: Further metadata to save.
    """
    place = job.placement
    metadata: dict[str, Any] = {JOB_NAME_KEY: job.name, JOB_ID_KEY: job.id, **(more or {})}
    metadata[COMPUTE_KEY] = place.target.name or place.target.kind
    if place.size:
        metadata[VM_SIZE_KEY] = place.size
    if place.price_per_hour is not None:
        metadata[PRICE_KEY] = place.price_per_hour
    if job.vault_secret:
        metadata[VAULT_SECRET_KEY] = job.vault_secret
    if job.studio_url:
        metadata[STUDIO_URL_KEY] = Uri(job.studio_url)  # a link in the dashboard
    save_metadata(step_run, component_id, metadata)


def save_metadata(step_run: StepRunResponse, component_id: UUID, metadata: Mapping[str, Any]) -> None:
    """Save metadata of a step run, on the server and in the step run object, with known secrets masked.

    Args:
        step_run: The step run.
        component_id: The step operator.
        metadata: The metadata.
    """
    metadata = masked_metadata(dict(metadata))
    ask(
        f"saving the job of the step `{step_run.name}`",
        lambda: publish_step_run_metadata(step_run.id, {component_id: metadata}),
    )
    step_run.run_metadata.update(metadata)


def facts_of(job: JobHandle) -> dict[str, Any]:
    """Return the metadata of a step run from a job that another process has submitted."""
    facts: dict[str, Any] = {JOB_NAME_KEY: job.name, COMPUTE_KEY: job.compute or "serverless"}
    if job.studio_url:
        facts[STUDIO_URL_KEY] = Uri(job.studio_url)
    return facts


def is_stopping(run_id: UUID) -> bool:
    """True if a run, or a run that launched it, was stopped, as `zenml pipeline runs stop` does."""
    return bool(why_stopped(_run(run_id)))


def over(run_id: UUID) -> str:
    """Return why a dynamic run is over; empty as long as its runner waits for its steps.

    The runner sets the status of a dynamic run; it does not follow from the steps.
    """
    run = _run(run_id)
    return why_stopped(run) or (f"the run is over ({run.status.value})" if run.status.is_finished else "")


def why_stopped(run: PipelineRunResponse) -> str:
    """Return the reason to cancel the jobs of a run that was stopped, or whose parent was; empty if none of them was.

    A run and its parent are one request. Only a run that is nested more deeply costs one more for each level.

    Args:
        run: The run as the server returned it by its id.
    """
    reason = STOPPED_REASON
    while run.status not in _STOPPED_RUN_STATUSES:
        parent = _parent(run)
        if parent is None:
            return ""
        reason = PARENT_STOPPED_REASON
        # The server returns the parent with the run, but not the parent's own parent.
        run = parent if _is_outermost(parent) or parent.status in _STOPPED_RUN_STATUSES else _run(parent.id)
    return reason


def _run(run_id: UUID) -> PipelineRunResponse:
    return Client().get_pipeline_run(run_id, hydrate=False)


def _is_outermost(run: PipelineRunResponse) -> bool:
    return getattr(run, "root_run_id", None) in (None, run.id)  # a server before 0.96 names none: it has no nested runs


def _parent(run: PipelineRunResponse) -> PipelineRunResponse | None:
    return None if _is_outermost(run) else run.parent_run


def reported_ends(run_id: UUID) -> set[UUID]:
    """Return the ids of a run's steps that have completed or failed, as their containers or ZenML reported."""
    ended = [ExecutionStatus.COMPLETED.value, ExecutionStatus.FAILED.value]
    steps = depaginate(Client().list_run_steps, pipeline_run_id=run_id, status=f"oneof:{json.dumps(ended)}")
    return {step_run.id for step_run in steps}


def earlier(step_run: StepRunResponse) -> list[StepRunResponse]:
    """Return the earlier step runs of the same step in the same run, the oldest first, with their metadata."""
    found = depaginate(
        Client().list_run_steps,
        pipeline_run_id=step_run.pipeline_run_id,
        name=f"equals:{step_run.name}",  # a name may look like a filter: `contains:...`
        project=step_run.project_id,
        hydrate=True,
    )
    return sorted((each for each in found if each.version < step_run.version), key=lambda each: each.version)


def with_metadata(step_run_id: UUID) -> StepRunResponse:
    """Return a step run with its metadata and its error, as the server has it now."""
    return Client().get_run_step(step_run_id)


def reported_status(step_run: StepRunResponse) -> ExecutionStatus:
    """Return the step run's status as its container or ZenML reported it."""
    return ask(
        f"looking up the status of the step `{step_run.name}`",
        lambda: Client().get_run_step(step_run.id, hydrate=False).status,
    )


def has_reported(step_run: StepRunResponse) -> bool:
    """True if the server knows the end of a step run."""
    return reported_status(step_run) not in UNREPORTED


def reported_failure(step_run_id: UUID) -> str:
    """Return the error that the step's own code reported, e.g. `ValueError: ...`; empty if it reported none."""
    info = ask("looking up the error of a step", lambda: Client().get_run_step(step_run_id).exception_info)
    if info is None or _is_own_source(info.source):
        return ""  # this package published it
    kind = (info.source or "").rpartition(".")[2]
    own_message = (info.message or "").partition(f"\n{OUR_WORDS}")[0]
    return ": ".join(part for part in (kind, own_message) if part)


def is_reported_by_code(step_run: StepRunResponse) -> bool:
    """True if a step run's own code reported its failure, rather than this package."""
    info = step_run.exception_info
    return info is not None and not _is_own_source(info.source)


def _is_own_source(source: str | None) -> bool:
    """True if this package published an error, in this version or an earlier one."""
    return (source or "").startswith("zenml_azureml.") or (source or "").endswith(f".{AzureMLError.__name__}")


def publish_completed(step_run: StepRunResponse) -> None:
    """Publish to the server that a command step has succeeded; it has no outputs."""
    _publish_end(step_run.id, ExecutionStatus.COMPLETED)


def publish_failure(step_run: StepRunResponse, error: AzureMLError) -> None:
    """Publish to the server why a step failed, if the step's own code could not report it."""
    _publish_end(step_run.id, ExecutionStatus.FAILED, error)


def add_to_report(step_run: StepRunResponse, error: AzureMLError) -> None:
    """Add Azure's information to a failure that the step's own code has reported to the server.

    The report of the step stays: its message comes first, and its traceback and line of the user's code are unchanged.
    """

    def add() -> None:
        report = Client().get_run_step(step_run.id).exception_info
        if report is not None and error.report not in (report.message or ""):
            report.message = "\n".join(part for part in (report.message, error.report) if part)
            Client().zen_store.update_run_step(step_run.id, StepRunUpdate(exception_info=report))

    ask(f"saving why the step `{step_run.name}` failed", add)


def publish_stopped(step_run: StepRunResponse, reason: AzureMLError | None = None) -> None:
    """Publish to the server that a step was stopped.

    Args:
        step_run: The step run.
        reason: The cause, if it was not the end of the run.
    """
    _publish_end(step_run.id, ExecutionStatus.STOPPED, reason)


def _publish_end(step_run_id: UUID, status: ExecutionStatus, error: AzureMLError | None = None) -> None:
    information = None if error is None else _information_on(error)

    def publish() -> None:
        try:
            publish_step_run_status_update(step_run_id, status, exception_info=information)
        except IllegalOperationError:
            # The server already knows an end: from an attempt whose answer was lost, or from another process, such as
            # `zenml-azureml jobs cancel`.
            if not Client().get_run_step(step_run_id, hydrate=False).status.is_finished:
                raise

    ask(f"saving that a step is {status.value}", publish)


def _information_on(error: AzureMLError) -> ExceptionInfo:
    return ExceptionInfo(
        traceback=f"{type(error).__name__}: {error.report}",
        # Also for its subclasses: other versions of this package recognize its errors by this name.
        source=f"{AzureMLError.__module__}.{AzureMLError.__qualname__}",
        message=error.report,
    )
