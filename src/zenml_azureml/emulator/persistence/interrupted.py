"""What becomes of jobs and computes that an emulator leaves unfinished when it ends. Pure."""

from __future__ import annotations

from datetime import datetime

from zenml_azureml.emulator.jobs.exits import end_job
from zenml_azureml.emulator.resources import Compute, Job, Operation
from zenml_azureml.emulator.services.aml import compute_views
from zenml_azureml.emulator.state import Store

#: States that a compute passes through, and those that they lead to.
_AFTERWARDS = {"Starting": "Running", "Restarting": "Running", "Stopping": "Stopped"}

STOPPED = "The emulator was stopped"
KILLED = "The emulator ended without stopping its jobs, for example because it was killed,"


def end_interrupted(store: Store, now: datetime, what: str) -> None:
    """End the jobs that have not ended, and what computes were doing.

    Args:
        store: What the emulator holds.
        now: The time.
        what: What has happened: `STOPPED` or `KILLED`.
    """
    for workspace in store.workspaces:
        for job in workspace.jobs.values():
            _end(job, now, what)
        for compute in [*workspace.computes.values()]:
            if compute.provisioning_state == "Deleting":
                del workspace.computes[compute.name]
            else:
                _settle(compute, now)
    for operation in store.operations.values():
        _complete(operation)


def _end(job: Job, now: datetime, what: str) -> None:
    if job.is_terminal:
        return
    # The clock may have gone back.
    now = max(now, job.started_at or job.created_at)
    if job.status == "CancelRequested":
        end_job(job, now, "Canceled")
        return
    is_pipeline = job.properties["jobType"] == "Pipeline"
    error = {
        "code": "SystemError",
        "message": f"{what} while the job was in the state {job.status}. Submit the job again under another name.",
        "component": "Pipeline" if is_pipeline else "CommonRuntime",
    }
    if is_pipeline:
        job.error, job.ended_at, job.status = error, now, "Failed"
    else:
        end_job(job, now, "Failed", error)


def _settle(compute: Compute, now: datetime) -> None:
    """Complete what a compute was doing."""
    state = compute.provisioning_state
    if state == "Creating" and compute.requested is not None:
        compute.body, compute.requested = compute_views.created(compute.body, compute.requested, now=now), None
    elif state in ("Creating", "Updating"):
        compute.body["properties"]["provisioningState"] = "Succeeded"
    if compute.inner.get("state") in _AFTERWARDS:
        compute.inner["state"] = _AFTERWARDS[compute.inner["state"]]
    if compute.inner.get("allocationState") == "Resizing":
        compute.inner["allocationState"] = "Steady"


def _complete(operation: Operation) -> None:
    if operation.status == "InProgress":
        operation.status = "Succeeded"
