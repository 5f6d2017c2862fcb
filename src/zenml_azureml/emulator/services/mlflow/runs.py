"""The jobs of a workspace as runs on its MLflow server: a run exists there when a request could see it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.jobs.definition import root_run
from zenml_azureml.emulator.jobs.variables import experiment_id
from zenml_azureml.emulator.local.state_folder import folder_of_jobs
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.mlflow.ids import DEFAULT_EXPERIMENT, Ids, experiments_in
from zenml_azureml.emulator.services.mlflow.server import Answer, MlflowServer
from zenml_azureml.emulator.services.mlflow.uris import tracking_uri
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_API = "/api/2.0/mlflow"

#: MLflow's states of runs by those of jobs; a job in another state has not started.
_STATES = {
    **{"Running": "RUNNING", "Finalizing": "RUNNING"},
    **{"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"},
}

#: The tags that MLflow's server takes (`mlflow/utils/validation.py`).
_TAG = re.compile(r"[\w\-./: ]{1,250}")
_LONGEST_TAG = 8_000
#: Experiments of one answer.
_MOST_EXPERIMENTS = 1_000


class WorkspaceRuns:
    """The runs of one workspace, and the server that has them.

    Args:
        server: The server.
        workspace: The workspace.
        ids: Names on both sides.
    """

    def __init__(self, server: MlflowServer, workspace: Workspace, ids: Ids) -> None:
        self._server = server
        self._workspace = workspace
        self.ids = ids
        self._bringing = asyncio.Lock()
        self._states: dict[str, str] = {}
        self._tags: dict[str, dict[str, str]] = {}

    async def ask(
        self, method: str, path: str, query: Mapping[str, str | list[str]] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request in the server's own ids; for the arguments see `MlflowServer.ask`."""
        return await self._server.ask(method, path, query, body)

    async def close(self) -> None:
        """End the server."""
        await self._server.close()

    async def bring(self, runs: Iterable[str], experiments: Iterable[str]) -> None:
        """Have the server know what a request names, as far as it is there.

        Args:
            runs: Ids of runs, of which jobs' names count.
            experiments: Ids of experiments, whose jobs are brought too.
        """
        async with self._bringing:
            names = dict.fromkeys(job.properties["experimentName"] for job in self._workspace.jobs.values())
            for name in names:
                await self._bring_experiment(name)
            wanted = {self._guid("Default") if one == DEFAULT_EXPERIMENT else one for one in experiments}
            if not wanted <= {self._guid(name) for name in self.ids.experiments.values()}:
                await self._learn_experiments()
            named = [self._workspace.find_job(run) for run in runs]
            beside = [
                job for job in self._workspace.jobs.values() if self._guid(job.properties["experimentName"]) in wanted
            ]
            for job in (*named, *beside):
                if job is not None:
                    await self._bring_job(job)

    async def learn(self, answer: Any) -> None:
        """Learn the names of the experiments that an answer of the server names by their ids."""
        if not experiments_in(answer) <= self.ids.experiments.keys():
            async with self._bringing:
                await self._learn_experiments()

    def forget_state(self, run: str) -> None:
        """Set the state of a job's run again before the next request: a client has changed it."""
        # Guess: the state of a job's run is the job's. azureml-mlflow does not send it from within the job.
        self._states.pop(run, None)

    def note_tags(self, job: Job, tags: Mapping[str, str]) -> None:
        """Add the tags that a client has set of a job's run to those of the job: on Azure ML they are the same."""
        job.properties["tags"] = {**job.properties["tags"], **tags}
        self._workspace.note_tags(job)
        self._tags.setdefault(job.name, {}).update(tags)

    def note_model(self, job: Job, name: str, model_id: str) -> None:
        """Keep a model that a job logs among the job's artifacts, at the path that is its name.

        Guess: Azure ML did not serve the models of MLflow 3 when the last public reports of it were written
        (Azure/azure-sdk-for-python#44896, Azure/azureml-examples#3885). MLflow 2 keeps a model there, and scripts
        register it from there: `azureml://jobs/JOB/outputs/artifacts/paths/model`. A second model of the same name
        has a place of its own.
        """
        job.logged_models = {**job.logged_models, name: model_id}
        self.ids.models[model_id] = job.name, name

    def _guid(self, name: str) -> str:
        return experiment_id(self._workspace, name)

    async def _bring_experiment(self, name: str) -> str:
        known = self.ids.experiment_named(name)
        if known is not None:
            return known
        answer = await self._call("POST", "experiments/create", {"name": name})
        if "experiment_id" not in answer:  # it exists: a client has created it, or it is the default
            await self._learn_experiments()
            return self.ids.experiment_named(name) or DEFAULT_EXPERIMENT
        created = str(answer["experiment_id"])
        self.ids.experiments[created] = name
        return created

    async def _learn_experiments(self) -> None:
        token: str | None = ""
        while token is not None:
            body = {"max_results": _MOST_EXPERIMENTS, "view_type": "ALL", **({"page_token": token} if token else {})}
            found = await self._call("POST", "experiments/search", body)
            for one in found.get("experiments", []):
                self.ids.experiments[one["experiment_id"]] = one["name"]
            token = found.get("next_page_token") or None

    async def _bring_job(self, job: Job) -> None:
        if job.name not in self.ids.runs:
            experiment = await self._bring_experiment(job.properties["experimentName"])
            name = job.properties["displayName"] or job.name
            body = {"experiment_id": experiment, "run_name": name, "start_time": _milliseconds(job.created_at)}
            created = await self._call("POST", "runs/create", body)
            self.ids.runs[job.name] = job.mlflow_run = created["run"]["info"]["run_id"]
        run = self.ids.runs[job.name]
        state = _STATES.get(job.status, "SCHEDULED")
        if self._states.get(job.name) != state:
            end = {"end_time": _milliseconds(job.ended_at)} if job.ended_at else {}
            await self._call("POST", "runs/update", {"run_id": run, "status": state, **end})
            self._states[job.name] = state
        known = self._tags.setdefault(job.name, {})
        new = {name: value for name, value in _tags_of(job).items() if known.get(name) != value}
        if new:
            tags = [{"key": name, "value": value} for name, value in new.items()]
            await self._call("POST", "runs/log-batch", {"run_id": run, "tags": tags})
            known.update(new)

    async def _call(self, method: str, path: str, body: Json) -> Json:
        answer = await self._server.ask(method, f"{_API}/{path}", body=json.dumps(body).encode())
        found: Json = json.loads(answer.body)
        return found


def runs_of(context: Context, workspace: Workspace) -> WorkspaceRuns:
    """Return the runs of a workspace. Their server starts with the first request.

    Args:
        context: The emulator.
        workspace: The workspace.
    """
    if workspace.workspace_id not in context.mlflow:
        folder = folder_of_jobs(context.folder, "mlflow") / workspace.workspace_id
        folder.mkdir(mode=0o700, exist_ok=True)
        ids = Ids(lambda name: experiment_id(workspace, name), tracking_uri(workspace, context.base_url, "v2.0"))
        ids.runs.update({job.name: job.mlflow_run for job in workspace.jobs.values() if job.mlflow_run})
        for job in workspace.jobs.values():
            ids.models.update({model: (job.name, name) for name, model in job.logged_models.items()})
        context.mlflow[workspace.workspace_id] = WorkspaceRuns(MlflowServer(folder), workspace, ids)
    found = context.mlflow[workspace.workspace_id]
    assert isinstance(found, WorkspaceRuns)  # noqa: S101 - nothing else is put there
    return found


def _tags_of(job: Job) -> dict[str, str]:
    """Return the tags of a job that MLflow's server takes, and those that place its run among others.

    Source: Microsoft, "Query & compare experiments and runs with MLflow" (`mlflow.parentRunId`), and public scripts
    for Azure ML, which read `mlflow.rootRunId` of a node to log to its pipeline's run.
    """
    parent = job.properties["parentJobName"]
    # Guess: Azure ML shows the others in some form as well.
    return {
        "mlflow.rootRunId": root_run(job.properties, job.name),
        **({"mlflow.parentRunId": parent} if parent else {}),
        **{
            name: value
            for name, value in job.properties["tags"].items()
            if _TAG.fullmatch(name) and isinstance(value, str) and len(value) <= _LONGEST_TAG
        },
    }


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
