"""What the page shows, as JSON: pure but for the files of a job's logs. No values of environment variables."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from zenml_azureml.emulator.admin.status import describe, why_not_saved
from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.http.faults import Faults
from zenml_azureml.emulator.http.recorder import Recorder
from zenml_azureml.emulator.http.responses import timestamp
from zenml_azureml.emulator.jobs.definition import compute_name
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.asset_paths import output_place
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: Jobs and requests that are shown, the newest first.
MOST_JOBS, MOST_REQUESTS = 500, 200
_MOST_FILES = 200


def overview(context: Context, recorder: Recorder, faults: Faults) -> Json:
    """Return what the lists show.

    Args:
        context: The emulator.
        recorder: Its record of requests.
        faults: Its armed faults.
    """
    workspaces = context.store.workspaces
    jobs = [(workspace, job) for workspace in workspaces for job in workspace.jobs.values()]
    jobs.sort(key=lambda pair: pair[1].number, reverse=True)
    return {
        "now": timestamp(context.clock.now()),
        "address": context.base_url,
        "notSaved": why_not_saved(context),
        "workspaces": [workspace.name for workspace in workspaces],
        "counts": {"jobs": len(jobs), "requests": len(recorder.requests)},
        "jobs": [summary(workspace, job) for workspace, job in islice(jobs, MOST_JOBS)],
        "computes": [
            {**describe(compute), "workspace": workspace.name, "busy": sum(compute.busy_nodes.values())}
            for workspace in workspaces
            for compute in workspace.computes.values()
        ],
        "requests": [entry.as_json() for entry in islice(reversed(recorder.requests), MOST_REQUESTS)],
        "faults": [armed.as_json() for armed in faults.armed],
        "scenarios": [armed.as_json() for armed in context.scenarios.armed],
    }


def summary(workspace: Workspace, job: Job) -> Json:
    """Return a job for a list.

    Args:
        workspace: Its workspace.
        job: The job.
    """
    properties = job.properties
    return {
        "name": job.name,
        "workspace": workspace.workspace_id,
        "displayName": properties["displayName"],
        "experiment": properties["experimentName"],
        "type": properties["jobType"],
        "parent": properties["parentJobName"],
        "status": job.status,
        "compute": compute_name(properties["computeId"])
        or ("" if properties["jobType"] == "Pipeline" else "serverless"),
        "created": timestamp(job.created_at),
        "started": job.started_at and timestamp(job.started_at),
        "ended": job.ended_at and timestamp(job.ended_at),
    }


def detail(state_folder: Path, workspace: Workspace, job: Job) -> Json:
    """Return all that is shown of one job.

    Args:
        state_folder: The emulator's state folder.
        workspace: Its workspace.
        job: The job.
    """
    properties = job.properties
    children = [one for one in workspace.jobs.values() if one.properties["parentJobName"] == job.name]
    return {
        **summary(workspace, job),
        "workspaceName": workspace.name,
        "command": properties["command"],
        "environment": properties["environmentId"],
        "code": properties["codeId"],
        "attempt": job.attempt,
        "error": job.error,
        "tags": properties["tags"],
        "inputs": _data(properties["inputs"], "jobInputType"),
        "outputs": _outputs(state_folder, workspace, job),
        "variables": sorted(properties["environmentVariables"] or {}),
        "children": [summary(workspace, one) for one in children],
        "logs": [{"name": name, "size": file.stat().st_size} for name, file in log_files(job)],
    }


def log_files(job: Job) -> list[tuple[str, Path]]:
    """Return the logs of a job with their names; links that lead out of their folder are left out.

    Args:
        job: The job.
    """
    folder = job.log_folder.resolve()
    found = (path for path in folder.rglob("*") if path.is_file() and path.resolve().is_relative_to(folder))
    return sorted((path.relative_to(folder).as_posix(), path) for path in islice(found, _MOST_FILES))


def _outputs(state_folder: Path, workspace: Workspace, job: Job) -> list[Json]:
    """Return the outputs of a job with the places where they are, and the assets that were made of them."""
    rows = _data(job.properties["outputs"], "jobOutputType")
    for row in rows:
        if row["value"] is None:
            with suppress(AssetPathError):
                row["value"] = output_place(state_folder, workspace, job, row["name"]).uri
        if row["asset"] is not None and row["name"] in job.output_assets:
            row["asset"] = ":".join(job.output_assets[row["name"]][1:])
    return rows


def _data(items: dict[str, Any], kind: str) -> list[Json]:
    rows: Iterable[tuple[str, Json]] = items.items()
    return [
        {
            "name": name,
            "type": item[kind],
            "value": item.get("value") if item.get("uri") is None else item["uri"],
            "mode": item.get("mode"),
            "asset": ":".join(filter(None, (item.get("assetName"), item.get("assetVersion")))) or None,
        }
        for name, item in rows
    ]
