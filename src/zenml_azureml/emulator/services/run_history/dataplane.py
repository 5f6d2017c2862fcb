"""What clients ask beside runs themselves: where outputs are kept, services of nodes, child runs."""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, json_body, workspace_of
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.run_history.answers import answer
from zenml_azureml.emulator.services.run_history.outputs import resolved
from zenml_azureml.emulator.types import Json

_RUN = f"/history/v1.0{WORKSPACE}/runs/{{run}}"


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.post(f"/data/v1.0{WORKSPACE}/dataversion/batchGetResolvedUris", resolve_data),
        web.post(f"/modelregistry/v1.0{WORKSPACE}/models/batchGetResolvedUris", resolve_models),
        web.get(f"{_RUN}/serviceinstances/{{node}}", get_service_instances),
    ]


async def resolve_data(request: web.Request) -> web.StreamResponse:
    """Answer where data assets are kept."""
    return await _resolve(request, "data")


async def resolve_models(request: web.Request) -> web.StreamResponse:
    """Answer where models are kept."""
    return await _resolve(request, "models")


async def _resolve(request: web.Request, kind: str) -> web.StreamResponse:
    wanted = (await json_body(request)).get("values")
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        # Guess: the message.
        raise ServiceError(400, "UserError", "The field values has to be a list of ids.")
    return answer(request, resolved(request.app[CONTEXT].folder, workspace_of(request), wanted, kind=kind))


async def get_service_instances(request: web.Request) -> web.StreamResponse:
    """Answer the services of one node of a job that the job has asked for.

    Guess: their state and address. No service of a job (SSH, JupyterLab, TensorBoard, VS Code) is started here.
    """
    job = workspace_of(request).find_job(request.match_info["run"])
    if job is None:
        raise ServiceError(404, "UserError", f"Run {request.match_info['run']} was not found.")
    asked = {name: one for name, one in job.properties["services"].items() if name not in ("Tracking", "Studio")}
    return answer(request, {"instances": {name: _instance(one, job) for name, one in asked.items()}})


def _instance(service: Json, job: Job) -> Json:
    return {
        "type": service["jobServiceType"],
        "port": service["port"],
        "status": "Stopped" if job.is_terminal else "NotStarted",
        "error": None,
        "endpoint": service["endpoint"],
        "properties": service["properties"],
    }
