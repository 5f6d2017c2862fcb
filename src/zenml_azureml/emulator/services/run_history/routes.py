"""Discovery and run history: what a client finds beside Resource Manager.

The SDK's way is workspace -> `discoveryUrl` -> `api` -> `/history/v1.0/...`: here all on one address.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.data_plane import failure
from zenml_azureml.emulator.http.responses import WORKSPACE, json_body, workspace_of
from zenml_azureml.emulator.http.schemas import RunChangeSchema
from zenml_azureml.emulator.jobs.variables import experiment_id
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.job_views import check_merged, update
from zenml_azureml.emulator.services.run_history.answers import answer
from zenml_azureml.emulator.services.run_history.views import (
    job_specification,
    run_definition,
    run_details,
    run_metadata,
)
from zenml_azureml.emulator.services.storage.files import AccountFiles, job_folder
from zenml_azureml.emulator.services.storage.sas import CONTAINER, account_of
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_HISTORY = f"/history/v1.0{WORKSPACE}"
_RUN = "/runs/{run}"
#: Headers for web pages, recorded of the addresses of the other services (discovery_get.json).
_FOR_PAGES = {
    "Access-Control-Allow-Credentials": "false",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, Content-Type, Retry-After, Location, "
    "x-request-time, x-ms-client-request-id",
    "Access-Control-Max-Age": "2520",
}

#: The name of the emulator's one user.
_USER = "emulator"
#: Log files of one job that are shown.
_MOST_FILES = 5_000


def routes() -> list[web.RouteDef]:
    """Return the routes of this module; a run is found by its id alone or below its experiment."""
    owners = ("", "/experiments/{experiment}", "/experimentids/{experiment_id}")
    return [
        web.get("/discovery", discover),
        web.post(f"{_HISTORY}/rundata", get_run_data),
        *(web.get(f"{_HISTORY}{owner}{_RUN}", get_run) for owner in owners),
        *(web.get(f"{_HISTORY}{owner}{_RUN}/details", get_details) for owner in owners),
        *(web.get(f"{_HISTORY}{owner}{_RUN}/children", get_children) for owner in owners),
        web.patch(f"{_HISTORY}/experiments/{{experiment}}{_RUN}", change_run),
    ]


async def discover(request: web.Request) -> web.StreamResponse:
    """Answer the addresses of the other services; needs no token (recorded: discovery_get.json).

    All of them are the emulator: a client must not carry its token to Microsoft, and links open the emulator's page.
    """
    context = request.app[CONTEXT]
    names = (
        *("api", "catalog", "experimentation", "gallery", "history", "hyperdrive", "labeling"),
        *("modelmanagement", "pipelines"),
    )
    body = {**dict.fromkeys(names, context.base_url), "studio": context.base_url}
    return answer(request, body, headers=_FOR_PAGES)


async def get_run(request: web.Request) -> web.StreamResponse:
    """Answer a run."""
    workspace = workspace_of(request)
    job = find_run(request, workspace, request.match_info["run"])
    if job is None:
        return run_not_found(request, workspace, request.match_info["run"])
    return answer(request, _metadata(request, job, workspace))


async def change_run(request: web.Request) -> web.StreamResponse:
    """Archive, restore, tag or rename a job: the SDK's way since 1.35, instead of a PUT of the job."""
    workspace = workspace_of(request)
    job = find_run(request, workspace, request.match_info["run"])
    if job is None:
        return run_not_found(request, workspace, request.match_info["run"])
    changes = await json_body(request, RunChangeSchema, texts=("tags", "properties"))
    check_merged(job, changes)
    update(job, {**changes, "isArchived": changes.get("hidden")})
    return answer(request, _metadata(request, job, workspace))


async def get_details(request: web.Request) -> web.StreamResponse:
    """Answer a run with its error and the SAS URLs of its logs."""
    workspace = workspace_of(request)
    job = find_run(request, workspace, request.match_info["run"])
    if job is None:
        return run_not_found(request, workspace, request.match_info["run"])
    urls = _log_urls(request, job, workspace)
    return answer(request, run_details(job, workspace, log_urls=urls, submitted_by=_USER))


async def get_children(request: web.Request) -> web.StreamResponse:
    """Answer the children of a run, the newest first (recorded: history_run_children_first.json).

    Guess: all of them on one page, which the recorded fragment does not show.
    """
    workspace = workspace_of(request)
    job = find_run(request, workspace, request.match_info["run"])
    if job is None:
        return run_not_found(request, workspace, request.match_info["run"])
    children = [one for one in workspace.newest_jobs(None) if one.properties["parentJobName"] == job.name]
    return answer(request, {"value": [_metadata(request, one, workspace) for one in children]})


async def get_run_data(request: web.Request) -> web.StreamResponse:
    """Answer a run and its definition, as far as the request selects it."""
    workspace, wanted = workspace_of(request), await json_body(request)
    job = find_run(request, workspace, str(wanted.get("runId")))
    if job is None:
        return run_not_found(request, workspace, str(wanted.get("runId")))
    # Guess: what is not selected is null.
    body = {
        "runMetadata": (_metadata(request, job, workspace) if wanted.get("selectRunMetadata") else None),
        "runDefinition": run_definition(job) if wanted.get("selectRunDefinition") else None,
        "jobSpecification": (job_specification(job) if wanted.get("selectJobSpecification") else None),
    }
    return answer(request, body)


def find_run(request: web.Request, workspace: Workspace, run: str) -> Job | None:
    """Return the job of that name, if it is in the experiment that the path names."""
    job = workspace.find_job(run)
    if job is None:
        return None
    name = job.properties["experimentName"]
    in_path = request.match_info
    if in_path.get("experiment", name) != name:
        return None
    own_id = experiment_id(workspace, name)
    return job if in_path.get("experiment_id", own_id) == own_id else None


def _log_urls(request: web.Request, job: Job, workspace: Workspace) -> dict[str, str]:
    context = request.app[CONTEXT]
    account = account_of(workspace, context.base_url)
    lifetime = timedelta(seconds=context.settings.sas_lifetime)
    now = context.clock.now()
    folder, files = job_folder(job.name), AccountFiles(context.folder, workspace)
    return {
        blob.name.removeprefix(f"{folder}/"): account.sas_url(blob.name, now=now, lifetime=lifetime)
        for part in ("user_logs/", "logs/azureml/")
        for blob in islice(files.blobs(CONTAINER, f"{folder}/{part}"), _MOST_FILES)
    }


def _metadata(request: web.Request, job: Job, workspace: Workspace) -> Json:
    context = request.app[CONTEXT]
    user = {
        "userObjectId": workspace.workspace_id,
        "userPuId": None,
        "userIdp": None,
        "userAltSecId": None,
        "userIss": f"https://sts.windows.net/{context.tenant_id}/",
        "userTenantId": context.tenant_id,
        "userName": _USER,
        "upn": None,
    }
    client = request.headers.get("User-Agent", "")
    return run_metadata(job, workspace, base_url=context.base_url, user=user, client=client)


def run_not_found(request: web.Request, workspace: Workspace, run: str) -> web.Response:
    """Answer that there is no run of a name."""
    # Guess: the answer for a run that does not exist was not recorded.
    body = failure(
        "UserError",
        f"Run {run} was not found.",
        location=workspace.location,
        now=request.app[CONTEXT].clock.now(),
        component="run-history",
    )
    return answer(request, body, status=404)
