"""Artifacts, of runs and of no run: lists of them, and SAS URLs by which clients read and write them in blob storage.

azureml-mlflow reads and writes the artifacts of a run so, and models that it registers from a folder. Forms: its
generated clients, `_restclient/run_artifact` and `_restclient/artifact`.
"""

from __future__ import annotations

import re
from datetime import timedelta

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.data_plane import failure
from zenml_azureml.emulator.http.responses import WORKSPACE, GatewayError, json_body, timestamp, workspace_of
from zenml_azureml.emulator.http.schemas import ArtifactPathsSchema
from zenml_azureml.emulator.services.mlflow.callers import check_caller
from zenml_azureml.emulator.services.mlflow.runs import WorkspaceRuns
from zenml_azureml.emulator.services.mlflow.server import ServerError
from zenml_azureml.emulator.services.run_history.answers import answer
from zenml_azureml.emulator.services.run_history.routes import find_run, run_not_found
from zenml_azureml.emulator.services.storage.errors import BlobError
from zenml_azureml.emulator.services.storage.files import AccountFiles, Blob, job_folder
from zenml_azureml.emulator.services.storage.sas import CONTAINER, account_of
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_OF_RUNS = tuple(
    f"/history/v1.0{WORKSPACE}/{owner}/runs/{{run}}/artifacts"
    for owner in ("experiments/{experiment}", "experimentids/{experiment_id}")
)
#: What clients call the origin of artifacts that they upload themselves.
_LOCAL = "LocalUpload"
_OF_NO_RUN = f"/artifact/v2.0{WORKSPACE}/artifacts/{_LOCAL}/{{container:[A-Za-z0-9][A-Za-z0-9._-]*}}"
_DATASTORE = "workspaceartifactstore"
#: What MLflow's server names runs that no job has, and models that were logged.
_SERVER_ID = re.compile(r"(?P<model>m-)?[0-9a-f]{32}")


def routes() -> list[web.RouteDef]:
    """Return the routes of this module; they check their callers, which are jobs too."""
    found = []
    for root in _OF_RUNS:
        found += [web.get(f"{root}/path", _list), web.get(f"{root}/artifacturi", _get_bare_url)]
    for root in (*_OF_RUNS, _OF_NO_RUN):
        found += [
            web.get(root, _list),
            web.get(f"{root}/prefix/contentinfo", _list_urls),
            web.get(f"{root}/metadata", _get),
            web.get(f"{root}/contentinfo", _get_url),
            web.post(f"{root}/batch/metadata", _create),
        ]
    return found


async def _list(request: web.Request) -> web.StreamResponse:
    """Answer the artifacts of a run, or those below a path."""
    folder = await _Folder.of(request)
    if folder is None:
        return _no_run(request)
    # Guess: all on one page.
    value = [folder.artifact(blob) for blob in folder.blobs(request.query.get("path", ""))]
    return answer(request, {"value": value, "continuationToken": None, "nextLink": None})


async def _list_urls(request: web.Request) -> web.StreamResponse:
    folder = await _Folder.of(request)
    if folder is None:
        return _no_run(request)
    value = [folder.content(folder.path_of(blob), "r") for blob in folder.blobs(request.query.get("path", ""))]
    return answer(request, {"value": value, "continuationToken": None, "nextLink": None})


async def _get(request: web.Request) -> web.StreamResponse:
    folder = await _Folder.of(request)
    blob = folder.find(request.query.get("path", "")) if folder else None
    return answer(request, folder.artifact(blob)) if folder and blob else _no_artifact(request)


async def _get_url(request: web.Request) -> web.StreamResponse:
    """Answer a URL by which an artifact is read."""
    folder = await _Folder.of(request)
    path = request.query.get("path", "")
    return answer(request, folder.content(path, "r")) if folder and folder.find(path) else _no_artifact(request)


async def _get_bare_url(request: web.Request) -> web.StreamResponse:
    folder = await _Folder.of(request)
    path = request.query.get("path", "")
    if not folder or not folder.find(path):
        return _no_artifact(request)
    return web.json_response(folder.content(path, "r")["contentUri"])


async def _create(request: web.Request) -> web.StreamResponse:
    """Answer URLs by which new artifacts are written."""
    folder = await _Folder.of(request, writes=True)
    if folder is None:
        return _no_run(request)
    sent = await json_body(request, ArtifactPathsSchema)
    made: Json = {"artifacts": {}, "artifactContentInformation": {}, "errors": {}}
    for path in (one["path"] for one in sent["paths"]):
        try:
            exists = folder.find(path) is not None
            folder.files.file(CONTAINER, folder.name_of(path))
        except BlobError as error:
            made["errors"][path] = _failure(request, error.message)
            continue
        if exists:
            # The words are quoted in public reports of artifacts that were logged twice.
            words = f"Resource Conflict: ArtifactId {folder.name_of(path)} already exists."
            made["errors"][path] = _failure(request, words)
            continue
        made["artifacts"][path] = folder.description(path)
        made["artifactContentInformation"][path] = folder.content(path, "rcw")
    return answer(request, made)


class _Folder:
    """The artifacts of one run, or of one upload that belongs to no run."""

    def __init__(self, request: web.Request, workspace: Workspace, name: str) -> None:
        context = request.app[CONTEXT]
        self._now = context.clock.now()
        self._lifetime = timedelta(seconds=context.settings.sas_lifetime)
        self._account = account_of(workspace, context.base_url)
        self._name = name
        self.files = AccountFiles(context.folder, workspace)

    @classmethod
    async def of(cls, request: web.Request, *, writes: bool = False) -> _Folder | None:
        """Return the folder in the path of a request, whose caller may read or write it; None if there is no run."""
        workspace = workspace_of(request)
        check_caller(request, workspace, writes=writes)
        if "container" in request.match_info:
            # Guess: the datastore, which is that of models registered by earlier SDKs.
            return cls(request, workspace, f"{_LOCAL}/{request.match_info['container']}")
        name = request.match_info["run"]
        job = find_run(request, workspace, name)
        if job is not None:
            return cls(request, workspace, job_folder(job.name))
        return cls(request, workspace, job_folder(name)) if await _is_on_server(request, workspace, name) else None

    def name_of(self, path: str) -> str:
        """Return the name of an artifact's blob."""
        return f"{self._name}/{path}"

    def path_of(self, blob: Blob) -> str:
        """Return the path of an artifact in its folder."""
        return blob.name.removeprefix(self.name_of(""))

    def find(self, path: str) -> Blob | None:
        """Return the blob of an artifact; None if there is none."""
        return self.files.find(CONTAINER, self.name_of(path))

    def blobs(self, below: str) -> list[Blob]:
        """Return the blobs of the artifacts whose paths begin with another."""
        return list(self.files.blobs(CONTAINER, self.name_of(below)))

    def description(self, path: str) -> Json:
        """Return what is said of an artifact, whether it is written or not."""
        origin, container = self._name.split("/")
        return {
            "artifactId": self.name_of(path),
            "origin": origin,
            "container": container,
            "path": path,
            "etag": None,
            "createdTime": timestamp(self._now),
            "dataPath": {"dataStoreName": _DATASTORE, "relativePath": self.name_of(path)},
            "tags": {},
        }

    def artifact(self, blob: Blob) -> Json:
        """Return what is said of an artifact that is written."""
        return {**self.description(self.path_of(blob)), "etag": blob.etag, "createdTime": timestamp(blob.created)}

    def content(self, path: str, permissions: str) -> Json:
        """Return what is said of an artifact's content, with a URL that grants access."""
        url = self._account.sas_url(self.name_of(path), now=self._now, lifetime=self._lifetime, permissions=permissions)
        origin, container = self._name.split("/")
        return {
            "contentUri": url,
            "origin": origin,
            "container": container,
            "path": path,
            "tags": {},
        }


async def _is_on_server(request: web.Request, workspace: Workspace, name: str) -> bool:
    """True if MLflow's server has a run or a logged model of that id."""
    runs = request.app[CONTEXT].mlflow.get(workspace.workspace_id)
    found = _SERVER_ID.fullmatch(name)
    if found is None or not isinstance(runs, WorkspaceRuns):
        return False
    path = f"logged-models/{name}" if found["model"] else f"runs/get?run_id={name}"
    try:
        return (await runs.ask("GET", f"/api/2.0/mlflow/{path}")).status == 200
    except ServerError as error:
        raise GatewayError(500, "InternalServerError", str(error)) from error


def _no_run(request: web.Request) -> web.Response:
    return run_not_found(request, workspace_of(request), request.match_info["run"])


def _no_artifact(request: web.Request) -> web.Response:
    # Guess: the words.
    run = request.match_info.get("run")
    words = f"Artifact {request.query.get('path', '')}{f' of run {run}' if run else ''} was not found."
    return answer(request, _failure(request, words), status=404)


def _failure(request: web.Request, words: str) -> Json:
    now = request.app[CONTEXT].clock.now()
    location = workspace_of(request).location
    return failure("UserError", words, location=location, now=now, component="run-artifact")
