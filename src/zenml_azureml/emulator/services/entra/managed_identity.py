"""Endpoint at which a machine of Azure gets tokens of its managed identity.

On Azure the network says which machine asks. Here all are one machine, and so a client shows a secret. That of a job
is valid until the job ends, for the identities of its compute. That of the state folder is for the user's own programs:
the emulator's one application stands for the machine's identity, system-assigned and user-assigned.

Forms and messages: Microsoft's documentation ("How to use managed identities for App Service", "How to use managed
identities on an Azure VM to acquire an access token"), what msal reads, and public reports of the refusals.
"""

from __future__ import annotations

import re
from datetime import timedelta

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.jobs.definition import compute_name
from zenml_azureml.emulator.local.keys import is_same_secret
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.entra.machine_identities import (
    ENDPOINT,
    METADATA_ENDPOINT,
    USER_ENDPOINT,
    MachineIdentity,
    acts_as_user,
    identities_of,
)

_RESOURCE = re.compile(r"[a-z]+://[^\s\x00]+|[0-9a-fA-F-]{36}")

_NAMES_OF_IDENTITIES = ("client_id", "clientid", "object_id", "principal_id", "mi_res_id", "msi_res_id")


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [
        web.get(ENDPOINT, _app_service),
        web.get(f"{METADATA_ENDPOINT}/metadata/identity/oauth2/token", _virtual_machine),
        web.get(USER_ENDPOINT, _on_behalf_of_user),
    ]


async def _app_service(request: web.Request) -> web.Response:
    """Answer requests in the form of App Service (2019-08-01), and of computes of Azure ML (2017-09-01)."""
    context = request.app[CONTEXT]
    name = "secret" if request.query.get("api-version") == "2017-09-01" else "X-IDENTITY-HEADER"
    machine = _machine_of(request.headers.get(name, ""), context)
    if not machine:
        # Guess: the status and the message.
        return _app_service_error(401, f"The {name} header is missing or wrong.")
    identity = _asked_for(request, machine)
    if identity is None:
        return _app_service_error(
            400, "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    resource = request.query.get("resource", "")
    if not _RESOURCE.fullmatch(resource):
        # Guess: the message, and this refusal of a resource that is no address.
        return _app_service_error(400, "The query parameter resource is missing or is not the address of a resource.")
    if not context.cloud.knows(resource):
        # Guess: the status and the message. msal has found a vague `statusCode` of 500; it reads only the body, and all
        # clients treat any other status as final, but retry after a 500.
        return _app_service_error(400, f"The resource principal named {resource} was not found in the tenant.")
    token, expires_on, _ = _token(resource, context, identity)
    body = {"access_token": token, "expires_on": str(expires_on), "resource": resource, "token_type": "Bearer"}
    return web.json_response({**body, "client_id": identity.client_id})


async def _virtual_machine(request: web.Request) -> web.Response:
    """Answer requests in the form of virtual machines: the instance metadata service, with the secret in its path."""
    context = request.app[CONTEXT]
    if request.headers.get("Metadata", "").lower() != "true":
        return _virtual_machine_error("Required metadata header not specified")
    machine = _machine_of(request.match_info["secret"], context)
    identity = _asked_for(request, machine)
    if identity is None:
        return _virtual_machine_error("Identity not found")
    resource = request.query.get("resource", "")
    if not context.cloud.knows(resource):
        return _virtual_machine_error(
            f"AADSTS500011: The resource principal named {resource} was not found in the tenant named "
            f"{context.tenant_id}.",
            error="invalid_resource",
        )
    token, expires_on, lifetime = _token(resource, context, identity)
    return web.json_response(
        {
            "access_token": token,
            "client_id": identity.client_id,
            "expires_in": str(lifetime),
            "expires_on": str(expires_on),
            "ext_expires_in": str(lifetime),
            "not_before": str(expires_on - lifetime),
            "resource": resource,
            "token_type": "Bearer",
        }
    )


async def _on_behalf_of_user(request: web.Request) -> web.Response:
    """Answer a job that acts as its user: a token of that user, here the emulator's one application.

    Guess: the form of the answer; it is one that the credential reads.
    """
    context = request.app[CONTEXT]
    secret = request.match_info["secret"]
    if not any(acts_as_user(job) for job in _running_with(secret, context)):
        # Guess: the status and the message.
        return _app_service_error(401, "The job has ended, or does not act as its user.")
    resource = request.query.get("resource", "")
    if not context.cloud.knows(resource):
        return _app_service_error(400, f"The resource principal named {resource} was not found in the tenant.")
    token, expires_on, _ = _token(resource, context, _application(context))
    return web.json_response({"token": token, "expires_on": expires_on, "resource": resource, "token_type": "Bearer"})


def _running_with(secret: str, context: Context) -> list[Job]:
    jobs = (job for workspace in context.store.workspaces for job in workspace.jobs.values())
    return [job for job in jobs if not job.is_terminal and is_same_secret(secret, job.machine_secret)]


def _machine_of(secret: str, context: Context) -> list[MachineIdentity]:
    """Return the identities of the machine that has that secret; none if none has."""
    if is_same_secret(secret, context.keys.machine):
        return [_application(context)]
    for workspace in context.store.workspaces:
        for job in workspace.jobs.values():
            if not job.is_terminal and is_same_secret(secret, job.machine_secret):
                return identities_of(job, workspace, compute_name(job.properties["computeId"]))
    return []


def _application(context: Context) -> MachineIdentity:
    return MachineIdentity(context.client_id, context.identity.object_id, "")


def _asked_for(request: web.Request, machine: list[MachineIdentity]) -> MachineIdentity | None:
    """Return the identity that a request names, the first if it names none; None if it belongs to another machine."""
    named = {request.query[name] for name in _NAMES_OF_IDENTITIES if name in request.query}
    return next((one for one in machine if named <= {one.client_id, one.object_id, one.resource_id}), None)


def _token(resource: str, context: Context, identity: MachineIdentity) -> tuple[str, int, int]:
    """Return a token, the second at which it expires, and the seconds for which it is valid."""
    now, lifetime = context.clock.now(), int(context.settings.token_lifetime)
    machine = identity if identity.resource_id else None
    token = context.identity.access_token(resource, now, timedelta(seconds=lifetime), method="2", machine=machine)
    return token, int(now.timestamp()) + lifetime, lifetime


def _app_service_error(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)


def _virtual_machine_error(description: str, *, error: str = "invalid_request") -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)
