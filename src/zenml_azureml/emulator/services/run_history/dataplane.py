"""What clients ask beside runs themselves: where outputs are kept, services of nodes, child runs."""

from __future__ import annotations

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, json_body, workspace_of
from zenml_azureml.emulator.services.run_history.answers import answer
from zenml_azureml.emulator.services.run_history.outputs import resolved
from zenml_azureml.emulator.services.ssh.instances import TUNNELS, instance, services_on

_RUN = f"/history/v1.0{WORKSPACE}/runs/{{run}}"


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.post(f"/data/v1.0{WORKSPACE}/dataversion/batchGetResolvedUris", resolve_data),
        web.post(f"/modelregistry/v1.0{WORKSPACE}/models/batchGetResolvedUris", resolve_models),
        web.get(f"{_RUN}/serviceinstances/{{node:[0-9]{{1,5}}}}", get_service_instances),
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
    """Answer the services of one node of a job that the job has asked for."""
    workspace, node = workspace_of(request), int(request.match_info["node"])
    job = workspace.find_job(request.match_info["run"])
    if job is None:
        raise ServiceError(404, "UserError", f"Run {request.match_info['run']} was not found.")
    if node >= (job.properties.get("resources") or {}).get("instanceCount", 1):
        # Guess: the message. Microsoft's own client takes 404 for a node that does not exist.
        raise ServiceError(404, "UserError", f"Run {job.name} has no node {node}.")
    address = f"wss{request.app[CONTEXT].base_url.removeprefix('https')}{TUNNELS}{workspace.path}"
    found = {name: instance(one, job, node, address) for name, one in services_on(job, node).items()}
    return answer(request, {"instances": found})
