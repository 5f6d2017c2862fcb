"""Deletion of jobs.

Source: Microsoft's description of "Jobs - Delete" (202 with `Location`, then 200). Guess: all else; no deletion of a
job was recorded.
"""

from __future__ import annotations

import asyncio
import shutil

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, aml_empty, aml_json, workspace_of
from zenml_azureml.emulator.services.aml import operations
from zenml_azureml.emulator.services.aml.jobs import job_of
from zenml_azureml.emulator.state import PROVIDER

_RESULTS = (
    f"/subscriptions/{{subscription}}/providers/{PROVIDER}"
    "/locations/{location}/mfeOperationResults/jd:{workspace_id}:{job}"
)


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [web.delete(f"{WORKSPACE}/jobs/{{job}}", delete_job), web.get(_RESULTS, get_result)]


async def delete_job(request: web.Request) -> web.Response:
    """Delete a job that has ended, with its logs and artifacts. What it wrote to a datastore stays."""
    workspace, job = workspace_of(request), job_of(request)
    if not job.is_terminal:
        raise ServiceError(
            400, "UserError", f"Job {job.name} is in the state {job.status}. Cancel it before you delete it."
        )
    workspace.remove(job)
    await asyncio.to_thread(shutil.rmtree, job.folder, ignore_errors=True)
    path = _RESULTS.format(
        subscription=workspace.subscription_id,
        location=workspace.location,
        workspace_id=workspace.workspace_id,
        job=job.name,
    )
    version = request.query["api-version"]
    address = f"{request.app[CONTEXT].base_url}{path}?api-version={version}{operations.signature(version)}"
    headers = {"Location": address, "x-ms-async-operation-timeout": "PT1H"}
    return aml_json(request, None, status=202, headers=headers)


async def get_result(request: web.Request) -> web.Response:
    """Answer that the deletion is done: it never takes longer than its request."""
    return aml_empty(request, status=200)
