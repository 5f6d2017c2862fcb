"""Status of an emulator: its computes, and the number of jobs in each state."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import timestamp
from zenml_azureml.emulator.resources import Compute


def routes() -> list[web.RouteDef]:
    """Return the emulator's own `GET /_emulator/status`, `GET /_emulator/jobs` and `GET /_emulator/jobs/{job}`."""
    return [
        web.get("/_emulator/status", get_status),
        web.get("/_emulator/jobs", list_jobs),
        web.get("/_emulator/jobs/{job}", get_job),
    ]


async def get_status(request: web.Request) -> web.Response:
    """Answer `{"jobs": {STATE: NUMBER}, "computes": [{"name", "kind", "size", "state"}], "not_saved": WHY}`.

    `not_saved` is null while the state is saved.
    """
    workspaces = request.app[CONTEXT].store.workspaces
    jobs = Counter(job.status for workspace in workspaces for job in workspace.jobs.values())
    computes = [describe(compute) for workspace in workspaces for compute in workspace.computes.values()]
    not_saved = why_not_saved(request.app[CONTEXT])
    return web.json_response({"jobs": dict(sorted(jobs.items())), "computes": computes, "not_saved": not_saved})


async def list_jobs(request: web.Request) -> web.Response:
    """Answer `[{"name", "status", "tags", "created", "ended"}]` of every job in any workspace, oldest first."""
    jobs = [job for workspace in request.app[CONTEXT].store.workspaces for job in workspace.jobs.values()]
    return web.json_response(
        [
            {
                "name": job.name,
                "status": job.status,
                "tags": job.properties["tags"],
                "created": timestamp(job.created_at),
                "ended": job.ended_at and timestamp(job.ended_at),
            }
            for job in sorted(jobs, key=lambda job: job.created_at)
        ]
    )


async def get_job(request: web.Request) -> web.Response:
    """Answer `{"name", "status"}` of a job in any workspace."""
    for workspace in request.app[CONTEXT].store.workspaces:
        job = workspace.find_job(request.match_info["job"])
        if job is not None:
            return web.json_response({"name": job.name, "status": job.status})
    raise web.HTTPNotFound


def why_not_saved(context: Context) -> str | None:
    """Return why the state cannot be saved at the moment; None if it can, or if it is not to last.

    Args:
        context: The emulator.
    """
    return context.journal.failure or None if context.journal is not None else None


def describe(compute: Compute) -> dict[str, str]:
    """Return a compute for people: its name, kind, size and state.

    Args:
        compute: The compute.
    """
    state = compute.inner.get("state") or compute.inner.get("allocationState") or compute.provisioning_state
    return {
        "name": compute.name,
        "kind": compute.kind,
        "size": str(compute.inner.get("vmSize") or ""),
        "state": str(state),
    }
