"""What the service adds to a job that runs: its own tag and properties, and the dashboard of a Ray job."""

from __future__ import annotations

import json

from zenml_azureml.emulator.jobs.definition import compute_name
from zenml_azureml.emulator.resources import Compute, Job
from zenml_azureml.emulator.state import Workspace

_TAG = "_aml_system_ComputeTargetStatus"
_FILES = {
    "ProcessInfoFile": "azureml-logs/process_info.json",
    "ProcessStatusFile": "azureml-logs/process_status.json",
}


def show_running(workspace: Workspace, job: Job) -> None:
    """Add what the service adds when the command starts.

    Recorded of a running job, not of one that is prepared, and on an instance in 2024 (jobs_list_2024.json); a job of
    no time on an instance in 2025 had neither tag nor files (job_get_instance_2025.json).
    """
    job.properties["properties"].update(_FILES)
    compute = _compute_of(workspace, job)
    if compute is not None and compute.kind in ("AmlCompute", "ComputeInstance"):
        nodes = 1 if compute.kind == "ComputeInstance" else 0
        state = {"AllocationState": "steady", "PreparingNodeCount": 0, "RunningNodeCount": 0, "CurrentNodeCount": nodes}
        job.properties["tags"][_TAG] = json.dumps(state, separators=(",", ":"))
        workspace.note_tags(job)
    if (job.properties["distribution"] or {}).get("distributionType") == "Ray":
        # Recorded: job_get_completed_ray.json, with `<nodeIndex>` as it stands here.
        host = f"8265-<nodeIndex>-{job.name.lower()}.{workspace.location}.nodes.azureml.ms"
        dashboard = {
            "jobServiceType": "Custom",
            "port": 8265,
            "endpoint": f"https://{host}",
            "status": "NotStarted",
            "errorMessage": None,
            "properties": {},
            "nodes": None,
        }
        job.properties["services"] = {"ray-dashboard": dashboard, **job.properties["services"]}


def _compute_of(workspace: Workspace, job: Job) -> Compute | None:
    return workspace.find_compute(compute_name(job.properties["computeId"]) or "")
