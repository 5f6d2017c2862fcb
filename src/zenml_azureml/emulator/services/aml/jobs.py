"""Jobs: submit, get, list, cancel, archive."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.api_versions import ApiVersion
from zenml_azureml.emulator.http.bounds import MOST_PROCESSES
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
from zenml_azureml.emulator.jobs.definition import compute_name, environment_of, timeout_of
from zenml_azureml.emulator.jobs.lifecycle import live
from zenml_azureml.emulator.jobs.processes import process_count
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml import operations, serverless
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
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

#: Recorded: job_put_virtual_cluster_missing_400.json.
_NO_VIRTUAL_CLUSTER = (
    "The virtual cluster does not exist. Please ensure that you submitted a job to a virtual cluster which exists in "
    "the same cloud. A virtualcluster created in one Cloud cannot be used to submit jobs to another cloud."
)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_REGISTRY_ID = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/environments/(?P<name>[^/]+)/(?:versions|labels)/(?P<version>[^/]+)$",
    re.IGNORECASE,
)
#: Registries of Microsoft's, which all workspaces can use. No others exist here.
_REGISTRIES = frozenset({"azureml", "azureml-meta", "azureml-msr", "huggingface", "nvidia-ai"})
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
        raise _user_error("The job has no properties.")
    kind = sent.get("jobType")
    if isinstance(kind, str) and kind not in ("Command", "Pipeline"):
        raise not_emulated(f"A job of the type '{kind}'")
    is_pipeline = kind == "Pipeline"
    known = known_pipeline_members if is_pipeline else known_members
    refuse_unknown(await request.text(), known(sent, ApiVersion.parse(request.query["api-version"])))
    sent = with_texts(sent, "tags", "properties", "environmentVariables")
    checked(JobSchema, sent)
    existing = workspace.find_job(name)
    _check_name(name)
    if is_pipeline:
        check_pipeline(sent, workspace)
    else:
        _check(sent, workspace)
    completed = complete_pipeline if is_pipeline else complete
    wanted = completed(sent, name if existing is None else existing.name, workspace)
    if existing is not None:
        changed = changed_immutables(existing, wanted)
        if changed:
            raise _immutable(changed)
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


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        # Guess: the rule is documented, the message is not.
        raise _user_error(
            f"The job name '{name}' is invalid. It must start with a letter or a digit, followed by at "
            "most 254 letters, digits, hyphens or underscores."
        )


def _check(sent: Json, workspace: Workspace) -> None:
    """Refuse what the service refuses at once; all else is found out when the job runs."""
    if sent.get("jobType") is None:
        # Guess: there is no recording of this message.
        raise _user_error("The field jobType is required.")
    if not _EXPERIMENT.fullmatch(sent.get("experimentName") or "Default"):
        # Quoted, with the status (dotnet/machinelearning-modelbuilder#1773, microsoft/dstoolkit-mlops-v2#180).
        raise _user_error(
            "Experiment name must be 1-256 characters, start with a letter or a number, and can only contain letters, "
            "numbers, underscores, and dashes."
        )
    for key in ("command", "environmentId"):
        if not sent.get(key):
            # Guess: there is no recording of this message.
            raise _user_error(f"The field {key} is required.")
    try:
        timeout_of(sent.get("limits"))
    except ValidationError as error:
        # Guess: as above.
        raise _user_error("The field limits.timeout is not an ISO 8601 duration.") from error
    number = process_count(sent.get("distribution"), (sent.get("resources") or {}).get("instanceCount") or 1)
    if number > MOST_PROCESSES:
        raise _user_error(
            f"The job asks for {number} processes. This emulator runs at most {MOST_PROCESSES} processes for one job."
        )
    _check_environment(sent["environmentId"], workspace)
    target = compute_name(sent.get("computeId"))
    if target is None:
        serverless.check_size(sent, workspace.location)
    elif workspace.find_compute(target) is None:
        if "/virtualclusters/" in sent["computeId"].lower():
            raise _user_error(_NO_VIRTUAL_CLUSTER)
        # Recorded: job_put_unknown_compute_400_2023.json.
        inner = ["BadArgument", "UnknownTargetType"]
        raise ServiceError(400, "UserError", f"Unknown compute target '{target}'.", inner=inner)


def _check_environment(environment_id: str, workspace: Workspace) -> None:
    """Check that the version in a full id exists; short ids and those without a version are accepted unchanged.

    Recorded: job_put_serverless.json, job_put_minimal_fields.json.
    """
    found = environment_of(environment_id)
    registry = _REGISTRY_ID.match(environment_id)
    if registry is not None and registry["registry"].lower() not in _REGISTRIES:
        # Guess: also of a registry that does not exist; the message is quoted of one whose environment is not found
        # (Azure/azure-sdk-for-python#38594).
        raise _no_environment(registry["name"], registry["version"])
    if found is None or not environment_id.lower().startswith(workspace.path.lower()):
        return
    name, version = found
    # Microsoft's curated environments are in every workspace.
    if version is None or name.lower().startswith("azureml-"):
        return
    container = workspace.environments.get(name)
    if container is None or version not in container.versions:
        raise _no_environment(name, version)


def _no_environment(name: str, version: str) -> ServiceError:
    """Return the refusal of a job (quoted in Azure/azure-sdk-for-python#38594). Guess: the status is that of a GET."""
    message = f"No environment exists for name: {name}, version: {version}, label: "
    return ServiceError(404, "UserError", message, inner=["NotFoundError"])


def _immutable(changed: list[str]) -> ServiceError:
    """Return the refusal (recorded: quoted_put_immutable.json has the message, job_reput_conflict.txt the codes)."""
    names = ",  ".join(changed)
    return ServiceError(
        400,
        "UserError",
        "A job with this name already exists. If you are trying to create a new job, use a different "
        "name. If you are trying to update an existing job, the existing job's "
        f"{names} cannot be changed. Only description, tags, displayName, properties, and isArchived "
        "can be updated.",
        inner=["Immutable", "JobPropertyImmutable"],
    )


def _user_error(message: str) -> ServiceError:
    return ServiceError(400, "UserError", message)


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
