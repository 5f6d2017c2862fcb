"""The tunnel to the SSH server of a job's node: a websocket with the bytes of one connection.

Source of the path below the address of a node, and that it takes a token for Resource Manager: Microsoft's own client,
https://github.com/Azure/azure-dev/pull/7964 (job_ssh_proxy.go). That only the user who has submitted a job reaches its
services: "Interact with your jobs", https://learn.microsoft.com/azure/machine-learning/how-to-interactive-jobs.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from aiohttp import WSMsgType, web

from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, workspace_of
from zenml_azureml.emulator.services.entra.bearer import PRINCIPAL
from zenml_azureml.emulator.services.ssh.instances import TUNNELS, keys_of

#: Path of a tunnel below the address of a node.
_WEBSOCKET = "/nbip/v1.0/ws-tcp"

_CHUNK = 64 * 1024
_PING_SECONDS = 30.0


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [web.get(f"{TUNNELS}{WORKSPACE}/{{job}}/{{node:[0-9]{{1,5}}}}{_WEBSOCKET}", tunnel)]


async def tunnel(request: web.Request) -> web.StreamResponse:
    """Connect a client with the SSH server of a node.

    Raises:
        ServiceError: If the client may not have it, or the node has none.
    """
    job, node = workspace_of(request).find_job(request.match_info["job"]), int(request.match_info["node"])
    # Guess: the refusals. A job of another user looks like none.
    if job is None or not job.owner or job.owner != request[PRINCIPAL]:
        raise ServiceError(403, "UserError", "Only the owner of a job can reach its services.")
    keys = keys_of(job, node)
    shell = job.running.shell(node) if job.running is not None else None
    if not keys or shell is None:
        raise ServiceError(404, "UserError", f"Node {node} of job {job.name} has no SSH service that runs.")
    from zenml_azureml.emulator.services.ssh.server import keys_problem, serve

    if problem := keys_problem(keys):
        raise ServiceError(404, "UserError", problem)
    websocket = web.WebSocketResponse(heartbeat=_PING_SECONDS, compress=False)
    await websocket.prepare(request)
    ours, theirs = socket.socketpair()
    visit = asyncio.get_running_loop().create_task(serve(theirs, shell, keys))
    job.visits.add(visit)
    visit.add_done_callback(job.visits.discard)
    try:
        if job.running is None:  # it has ended meanwhile
            return websocket
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        down = asyncio.ensure_future(_down(reader, websocket))
        up = asyncio.ensure_future(_up(websocket, writer))
        await asyncio.wait({down, up, visit}, return_when=asyncio.FIRST_COMPLETED)
        if visit.done():
            await asyncio.wait({down})  # up to its last byte
        for task in (down, up):
            task.cancel()
        await asyncio.gather(down, up, return_exceptions=True)
        writer.close()
    finally:
        visit.cancel()
        await asyncio.gather(visit, return_exceptions=True)
        await websocket.close()
    return websocket


async def _down(reader: asyncio.StreamReader, websocket: web.WebSocketResponse) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            await websocket.send_bytes(data)


async def _up(websocket: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        async for message in websocket:
            if message.type is not WSMsgType.BINARY:
                break
            writer.write(message.data)
            await writer.drain()
