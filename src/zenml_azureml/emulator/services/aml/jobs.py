"""Jobs: submit, get, list, cancel, archive."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.api_versions import ApiVersion
from zenml_azureml.emulator.http.json_bodies import with_texts
from zenml_azureml.emulator.http.members import refuse_unknown
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    ServiceError,
    aml_empty,
    aml_json,
    checked,
    in_view,
    json_body,
    not_emulated,
    paged,
    workspace_of,
)
from zenml_azureml.emulator.http.schemas import JobSchema
from zenml_azureml.emulator.jobs.lifecycle import live
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml import operations
from zenml_azureml.emulator.services.aml.job_checks import check_command, check_name, immutable, user_error
from zenml_azureml.emulator.services.aml.job_members import known_members
from zenml_azureml.emulator.services.aml.job_views import (
    MUTABLE,
    changed_immutables,
    check_merged,
    complete,
    render,
    update,
)
from zenml_azureml.emulator.services.aml.pipelines import (
    check_pipeline,
    complete_pipeline,
    is_node,
    known_pipeline_members,
    start_pipeline,
)
from zenml_azureml.emulator.services.entra.bearer import PRINCIPAL
from zenml_azureml.emulator.state import PROVIDER
from zenml_azureml.emulator.types import Json

_RESULTS = (
    f"/subscriptions/{{subscription}}/providers/{PROVIDER}"
    "/locations/{location}/mfeOperationResults/jc:{workspace_id}:{job}"
)


def routes() -> list[web.RouteDef]:
    """Return the routes of jobs, and the one that polls a cancel."""
    return [
        web.put(f"{WORKSPACE}/jobs/{{job}}", _put),
        web.get(f"{WORKSPACE}/jobs/{{job}}", _get),
        web.get(f"{WORKSPACE}/jobs", _list),
        web.post(f"{WORKSPACE}/jobs/{{job}}/cancel", _cancel),
        web.get(_RESULTS, _cancel_result),
    ]


def job_of(request: web.Request) -> Job:
    """Return the job that the request's path names.

    Raises:
        ServiceError: 404, if there is none.
    """
    name = request.match_info["job"]
    job = workspace_of(request).find_job(name)
    if job is None:
        # The message was quoted in public (azureml-previews, report 267); the form is the one recorded
        # for environments.
        raise ServiceError(404, "UserError", f"Job {name} not found.", inner=["NotFoundError"])
    return job


async def _put(request: web.Request) -> web.Response:
    workspace = workspace_of(request)
    context = request.app[CONTEXT]
    name = request.match_info["job"]
    sent = (await json_body(request)).get("properties")
    if not isinstance(sent, dict):
        raise user_error("The job has no properties.")
    kind = sent.get("jobType")
    if isinstance(kind, str) and kind not in ("Command", "Pipeline"):
        raise not_emulated(f"A job of the type '{kind}'")
    is_pipeline = kind == "Pipeline"
    known = known_pipeline_members if is_pipeline else known_members
    refuse_unknown(await request.text(), known(sent, ApiVersion.parse(request.query["api-version"])))
    sent = with_texts(sent, "tags", "properties", "environmentVariables")
    checked(JobSchema, sent)
    existing = workspace.find_job(name)
    check_name(name)
    if is_pipeline:
        check_pipeline(sent, workspace)
    else:
        check_command(sent, workspace)
    completed = complete_pipeline if is_pipeline else complete
    wanted = completed(sent, name if existing is None else existing.name, workspace)
    if existing is not None:
        changed = changed_immutables(existing, wanted)
        if changed:
            raise immutable(changed)
        check_merged(existing, sent)
        update(existing, {key: sent.get(key) for key in MUTABLE})
        workspace.note_tags(existing)
        return aml_json(request, _rendered(request, existing))
    job = Job(
        name=name,
        properties=wanted,
        created_at=context.clock.now(),
        folder=context.folder / "jobs" / name,
        owner=request[PRINCIPAL],
    )
    workspace.add(job)
    if is_pipeline:
        job.status = "NotStarted"
        start_pipeline(context, workspace, job)
    else:
        context.spawn(live(context, workspace, job))
    location = f"{context.base_url}{workspace.path}/jobs/{name}?{_api_version_query(request)}"
    return aml_json(request, _rendered(request, job), status=201, headers={"Location": location})


async def _get(request: web.Request) -> web.Response:
    return aml_json(request, _rendered(request, job_of(request)))


async def _list(request: web.Request) -> web.Response:
    """Newest first; `tag` filters by the tag's key alone, `properties` by `key` or `key=value`."""
    workspace = workspace_of(request)
    query = request.query
    is_shown = in_view(query.get("listViewType"))
    # Guess: the jobs of a pipeline's nodes are listed with their parent only, in run history.
    tests: list[Callable[[Job], bool]] = [lambda job: is_shown(job.properties) and not is_node(job)]
    if "jobType" in query:
        tests.append(lambda job: job.properties["jobType"] == query["jobType"])
    if "properties" in query:
        tests.append(lambda job: _has_properties(job, query["properties"]))
    found = [job for job in workspace.newest_jobs(query.get("tag")) if all(test(job) for test in tests)]
    return paged(request, found, lambda job: _rendered(request, job))


async def _cancel(request: web.Request) -> web.Response:
    """Recorded: job_cancel_running_202.json, job_cancel_starting_200.json, job_get_cancelrequested.json."""
    job = job_of(request)
    if job.is_terminal:  # recorded: job_cancel_completed_2025.json; a pipeline job would be refused
        return aml_empty(request, status=200)
    running = job.started_at is not None
    job.cancel_requested.set()
    # Recorded: 200 in 2022 (job_cancel_starting_200.json), 202 in 2026 (job_cancel_starting_202_2026.json).
    if not running and not _is_answered_202(request):
        return aml_empty(request, status=200)
    if running:
        job.status = "CancelRequested"
    workspace = workspace_of(request)
    path = _RESULTS.format(
        subscription=workspace.subscription_id,
        location=workspace.location,
        workspace_id=workspace.workspace_id,
        job=job.name,
    )
    base_url = request.app[CONTEXT].base_url
    headers = {
        "Location": f"{base_url}{path}?{_api_version_query(request)}"
        f"{operations.signature(request.query['api-version'])}",
        "x-ms-async-operation-timeout": "PT1H",
    }
    return aml_json(request, None, status=202, headers=headers)


async def _cancel_result(request: web.Request) -> web.Response:
    """Answer 202 until the job has ended, then an empty 200 (recorded: job_cancel_lro.json)."""
    store = request.app[CONTEXT].store
    wanted = request.match_info["workspace_id"]
    workspace = next((w for w in store.workspaces if w.workspace_id == wanted), None)
    job = workspace.find_job(request.match_info["job"]) if workspace is not None else None
    if job is None:
        # Guess: it was not recorded.
        raise ServiceError(404, "UserError", "The operation was not found.")
    if job.is_terminal:
        return aml_empty(request, status=200)
    base_url = request.app[CONTEXT].base_url
    if not _is_answered_202(request):
        return aml_json(request, {}, status=202, headers={"Location": f"{base_url}{request.path_qs}"})
    # Recorded: both headers, signed again (job_cancel_poll_202_2026.json).
    version = request.query["api-version"]
    again = f"{base_url}{request.path}?{_api_version_query(request)}{operations.signature(version)}"
    return aml_json(request, {}, status=202, headers={"Location": again, "Azure-AsyncOperation": again})


def _is_answered_202(request: web.Request) -> bool:
    """True for the api-versions that answer a cancel as in 2026. Guess: the first of them."""
    return request.query.get("api-version", "")[:10] >= "2023-04-01"


def _has_properties(job: Job, wanted: str) -> bool:
    mine = job.properties["properties"]
    for item in wanted.split(","):
        key, _, value = item.partition("=")
        if key not in mine or (value and mine[key] != value):
            return False
    return True


def _rendered(request: web.Request, job: Job) -> Json:
    context: Context = request.app[CONTEXT]
    return render(job, workspace_of(request), request.query["api-version"], context.client_id)


def _api_version_query(request: web.Request) -> str:
    return urlencode({"api-version": request.query["api-version"]})
