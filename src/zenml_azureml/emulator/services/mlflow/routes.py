"""MLflow's API of workspaces: `/mlflow/v2.0/subscriptions/.../workspaces/NAME/api/2.0/mlflow/...`.

The emulator checks the caller, translates ids, and hands the request on to a real MLflow server. Batch logging that
has a status is Azure ML's own (azureml-mlflow, `aml_service.proto`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import WORKSPACE, GatewayError, not_emulated, workspace_of
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.emulator.services.aml.datastore_uris import short_uri
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.services.mlflow.callers import check_caller
from zenml_azureml.emulator.services.mlflow.ids import experiments_in, runs_in
from zenml_azureml.emulator.services.mlflow.registry import OPERATIONS, ModelRegistry, NotServedError, RegistryError
from zenml_azureml.emulator.services.mlflow.runs import WorkspaceRuns, runs_of
from zenml_azureml.emulator.services.mlflow.server import Answer, ServerError, missing_packages
from zenml_azureml.emulator.services.mlflow.uris import tracking_uri
from zenml_azureml.emulator.services.storage.files import job_folder
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

# Azure ML's API for MLflow 1 differs in its version only, for what is served here.
_ROOT = f"/mlflow/{{api_version:v[12]\\.0}}{WORKSPACE}"
_API = f"{_ROOT}/api/{{api:[23]\\.0}}/{{preview:(?:preview/)?}}mlflow"

_T = TypeVar("_T")

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: The API's operations that read although they are sent by POST.
_READS = ("search", "batchGet", "query")


def routes() -> list[web.RouteDef]:
    """Return the routes of this module; they check their callers."""
    return [
        web.get(f"{_ROOT}/version", _version),
        web.post(f"{_API}/runs/log-batch-async", _log_batch),
        web.get(f"{_API}/runs/get-run-data-status", _batch_status),
        *(web.route(method, f"{_API}/{{operation:.+}}", _forward) for method in _METHODS),
    ]


async def _version(request: web.Request) -> web.Response:
    """Answer the version of MLflow, of which clients ask what they may use."""
    runs = _runs(request, writes=False)
    return _response(await _served(runs.ask("GET", "/version")))


async def _log_batch(request: web.Request) -> web.Response:
    """Log a batch of metrics, parameters and tags, and answer by what its state is asked for."""
    runs = _runs(request, writes=True)
    sent = await _sent(request)
    answer = await _exchange(request, runs, "/api/2.0/mlflow/runs/log-batch", sent)
    if answer.status != 200:
        return _response(answer)
    # Only metrics take time on Azure ML: without an id, azureml-mlflow does not wait for the rest.
    return web.json_response({"batch_tracking_id": str(uuid.uuid4()) if sent.get("metrics") else ""})


async def _batch_status(request: web.Request) -> web.Response:
    """Answer the state of a batch."""
    _runs(request, writes=False)
    # Guess: so of every batch, also of one that was never sent. Here each is logged before its id is answered.
    return web.json_response({"is_complete": True})


async def _forward(request: web.Request) -> web.Response:
    operation = request.match_info["operation"]
    last = operation.rpartition("/")[2]
    runs = _runs(request, writes=request.method != "GET" and not last.startswith(_READS))
    sent = await _sent(request) if request.method != "GET" else {}
    if operation.startswith(OPERATIONS):
        return _of_models(request, operation, sent)
    path = f"/api/{request.match_info['api']}/{request.match_info['preview']}mlflow/{operation}"
    return _response(await _exchange(request, runs, path, sent))


def _of_models(request: web.Request, operation: str, sent: Json) -> web.Response:
    """Answer from the models of the workspace, of which the server knows nothing."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    uri = tracking_uri(workspace, context.base_url, "v2.0")
    registry = ModelRegistry(
        workspace, uri, context.clock.now, context.client_id, partial(_has_files, context, workspace)
    )
    query = {name: _one_or_all(request.query.getall(name)) for name in request.query}
    try:
        return web.json_response(registry.answer(request.method, operation, {**query, **sent}))
    except RegistryError as error:
        return web.json_response({"error_code": error.code, "message": str(error)}, status=error.status)
    except NotServedError as error:
        raise not_emulated(str(error)) from error


def _has_files(context: Context, workspace: Workspace, uri: str) -> bool:
    try:
        return bool(find_place(context.folder, workspace, uri).files())
    except AssetPathError:
        return False


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


async def _exchange(request: web.Request, runs: WorkspaceRuns, path: str, sent: Json) -> Answer:
    """Send a request on to a path of the server, with the server's ids, and return its answer with Azure ML's."""
    workspace = workspace_of(request)
    query: dict[str, str | list[str]] = {name: request.query.getall(name) for name in request.query}
    named = runs_in(query) | runs_in(sent)
    await _served(runs.bring(named, experiments_in(query) | experiments_in(sent)))
    body = json.dumps(runs.ids.to_server(sent)).encode() if request.method != "GET" else b""
    answer = await _served(runs.ask(request.method, path, runs.ids.to_server(query), body))
    try:
        found = json.loads(answer.body)
    except ValueError:
        return answer
    await _served(runs.learn(found))
    if answer.status == 200:
        _note(runs, workspace, path, sent, named)
        if request.method == "POST" and path.endswith("/logged-models"):
            _note_model(request, runs, sent, found)
    return Answer(answer.status, json.dumps(runs.ids.from_server(found)).encode())


def _note(runs: WorkspaceRuns, workspace: Workspace, path: str, sent: Json, named: Iterable[str]) -> None:
    """Take over to the jobs what a request has changed of their runs."""
    for job in filter(None, map(workspace.find_job, named)):
        if path.endswith("/runs/update"):
            runs.forget_state(job.name)
        elif path.endswith("/runs/set-tag"):
            runs.note_tags(job, _tags([sent]))
        elif path.endswith("/runs/log-batch"):
            runs.note_tags(job, _tags(sent.get("tags")))


def _note_model(request: web.Request, runs: WorkspaceRuns, sent: Json, found: Json) -> None:
    """Give a model that a job logs a path among the job's artifacts, if nothing is there."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    if sent.get("source_run_id"):
        job = workspace.find_job(str(sent["source_run_id"]))
    else:  # a job has logged it before anything else, and MLflow's client has not looked for its run
        job = check_caller(request, workspace, writes=True)
    info = found["model"]["info"]
    name = str(info["name"])
    is_elsewhere = job and runs.ids.experiments.get(str(info["experiment_id"])) != job.properties["experimentName"]
    if job is None or is_elsewhere or name in job.logged_models:
        return
    if not _has_files(context, workspace, short_uri("workspaceartifactstore", f"{job_folder(job.name)}/{name}")):
        runs.note_model(job, name, str(info["model_id"]))


def _tags(sent: Any) -> dict[str, str]:
    items = [one for one in sent if isinstance(one, dict)] if isinstance(sent, list) else []
    return {str(one["key"]): str(one.get("value", "")) for one in items if "key" in one}


def _runs(request: web.Request, *, writes: bool) -> WorkspaceRuns:
    """Return the runs of the workspace in a path, for a caller that may use them.

    Raises:
        GatewayError: 401, 403 or 404; 501, if MLflow is not installed beside the emulator.
    """
    workspace = workspace_of(request)
    check_caller(request, workspace, writes=writes)
    missing = missing_packages()
    if missing:
        raise GatewayError(
            501,
            "NotEmulated",
            f"MLflow's API is not emulated without MLflow: this emulator lacks the packages {', '.join(missing)}. "
            "Install them with `pip install 'zenml-azureml[emulator,mlflow]'`, and start it again.",
        )
    return runs_of(request.app[CONTEXT], workspace)


async def _sent(request: web.Request) -> Json:
    try:
        found = json.loads(await request.read() or b"{}")  # with NaN and infinities, which are metrics too
    except ValueError as error:
        raise GatewayError(400, "InvalidRequestContent", f"The request content was invalid: '{error}'.") from error
    if not isinstance(found, dict):
        raise GatewayError(400, "InvalidRequestContent", "The request content was invalid: it is not an object.")
    return found


async def _served(work: Awaitable[_T]) -> _T:
    try:
        return await work
    except ServerError as error:
        raise GatewayError(500, "InternalServerError", str(error)) from error


def _response(answer: Answer) -> web.Response:
    is_json = answer.body[:1] in (b"{", b"[")
    return web.Response(
        status=answer.status,
        body=answer.body,
        content_type="application/json" if is_json else "text/plain",
        charset="utf-8",
    )
