"""The emulator's own interface, below `/_emulator/`: what was served, what shall go wrong, how it behaves.

It needs the key of the state folder, and takes no requests of pages of other origins: see `access.py`.
"""

from __future__ import annotations

import uuid
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from zenml_azureml.emulator.admin.bodies import bad_request, body, json_of, refuse
from zenml_azureml.emulator.context import CONTEXT, Settings
from zenml_azureml.emulator.http.faults import FAULTS, ArmedFault, Fault
from zenml_azureml.emulator.http.rate_limits import RATE_LIMITS
from zenml_azureml.emulator.http.recorder import RECORDER
from zenml_azureml.emulator.jobs.launch import processes_of
from zenml_azureml.emulator.local.state_folder import StateFolderError, clear_jobs
from zenml_azureml.emulator.services.arm.rbac import BUILT_IN_ROLES, RoleAssignment, role_named
from zenml_azureml.emulator.services.entra.identity import RevokedAnswer
from zenml_azureml.emulator.services.entra.machine_identities import identities_in


def routes() -> list[web.RouteDef]:
    """Return the routes of the emulator's own interface."""
    return [
        web.get("/_emulator/health", _health),
        web.get("/_emulator/requests", _requests),
        web.get("/_emulator/faults", _list_faults),
        web.post("/_emulator/faults", _arm),
        web.post("/_emulator/jobs/{job}/kill", _kill_rank),
        web.delete("/_emulator/faults", _disarm),
        web.get("/_emulator/settings", _get_settings),
        web.post("/_emulator/settings", _set_settings),
        web.post("/_emulator/tokens/revoke", _revoke_tokens),
        web.post("/_emulator/secret/rotate", _rotate_secret),
        web.get("/_emulator/roles", _get_roles),
        web.post("/_emulator/roles", _set_roles),
        web.get("/_emulator/vaults", _vaults),
        web.post("/_emulator/vault-access", _let_use_vaults),
        web.post("/_emulator/reset", _reset),
    ]


class _TokensRevoked(BaseModel):
    """Body of `POST /_emulator/tokens/revoke`: the answer to a revoked token (see `services/entra/bearer.py`)."""

    model_config = ConfigDict(extra="forbid")

    answer: RevokedAnswer = "insufficient_claims"


class _SecretRotated(BaseModel):
    """Body of `POST /_emulator/secret/rotate`: the fate of the secret that was valid until now."""

    model_config = ConfigDict(extra="forbid")

    old: Literal["deleted", "expired"] = "deleted"


class _Roles(BaseModel):
    """Body of `POST /_emulator/roles`: the roles of the application, and their scope.

    Attributes:
        roles: Names of built-in roles, e.g. `AzureML Data Scientist`.
        scope: ARM id; None for each workspace.
    """

    model_config = ConfigDict(extra="forbid")

    roles: list[str]
    scope: str | None = None

    @field_validator("roles")
    @classmethod
    def _exist(cls, names: list[str]) -> list[str]:
        unknown = [name for name in names if role_named(name) is None]
        if unknown:
            known = ", ".join(role.name for role in BUILT_IN_ROLES)
            raise ValueError(f"there is no role {', '.join(unknown)}; there are {known}")
        return names


class _Killed(BaseModel):
    """Body of `POST /_emulator/jobs/{job}/kill`: one of the job's processes, in the order of its logs."""

    model_config = ConfigDict(extra="forbid")

    rank: int = Field(0, ge=0, strict=True)


class _VaultAccess(BaseModel):
    """Body of `POST /_emulator/vault-access`: identities that may use the workspaces' key vaults.

    Attributes:
        computes: Names of computes whose identities may read secrets; the application may write and delete them.
    """

    model_config = ConfigDict(extra="forbid")

    computes: list[str] = []


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _requests(request: web.Request) -> web.Response:
    """Answer every request since the start or the last reset, oldest first, but those to `/_emulator/`."""
    return web.json_response([entry.as_json() for entry in request.app[RECORDER].requests])


async def _list_faults(request: web.Request) -> web.Response:
    return web.json_response([armed.as_json() for armed in request.app[FAULTS].armed])


async def _arm(request: web.Request) -> web.Response:
    fault = await body(request, Fault)
    armed = ArmedFault(fault)
    request.app[FAULTS].armed.append(armed)
    return web.json_response(armed.as_json(), status=201)


async def _kill_rank(request: web.Request) -> web.Response:
    """Kill one process of a running job, as the kernel does if memory runs out. The rest follows as in Azure ML."""
    wanted = await body(request, _Killed)
    places, name = request.app[CONTEXT].store.workspaces, request.match_info["job"]
    job = next((job for place in places if (job := place.find_job(name)) is not None), None)
    if job is None:
        raise web.HTTPNotFound
    ranks = len(processes_of(job))
    if wanted.rank >= ranks:
        raise refuse(f"There is no rank {wanted.rank} in job {job.name}: its last one is {ranks - 1}.")
    if job.running is None:
        raise refuse(f"Nothing of job {job.name} runs: it is {job.status}.")
    await job.running.kill(wanted.rank)
    return web.Response(status=204)


async def _disarm(request: web.Request) -> web.Response:
    """Disarm all faults."""
    request.app[FAULTS].armed.clear()
    return web.Response(status=204)


async def _get_settings(request: web.Request) -> web.Response:
    return web.json_response(request.app[CONTEXT].settings.model_dump())


async def _set_settings(request: web.Request) -> web.Response:
    """Change the given settings: all, or none if one is invalid."""
    settings = request.app[CONTEXT].settings
    changes = await json_of(request)
    try:
        wanted = Settings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise bad_request(error) from error
    # In place: the parts of the emulator that read the settings hold this very object.
    for name in changes:
        setattr(settings, name, getattr(wanted, name))
    return await _get_settings(request)


async def _revoke_tokens(request: web.Request) -> web.Response:
    """Revoke all access tokens issued so far; new ones are valid."""
    context = request.app[CONTEXT]
    wanted = await body(request, _TokensRevoked)
    revoked = context.identity.revoke_tokens(context.clock.now(), wanted.answer)
    return web.json_response({"revoked": revoked})


async def _rotate_secret(request: web.Request) -> web.Response:
    """Give the application a new secret. It is not in the answer: it goes to the state folder, for its owner."""
    wanted = await body(request, _SecretRotated)
    request.app[CONTEXT].identity.rotate_secret(keep_expired=wanted.old == "expired")
    return web.Response(status=204)


async def _get_roles(request: web.Request) -> web.Response:
    """Answer the roles of the application."""
    context = request.app[CONTEXT]
    mine = [found for found in context.store.role_assignments if found.principal_id == context.identity.object_id]
    return web.json_response([{"role": found.role.name, "scope": found.scope} for found in mine])


async def _set_roles(request: web.Request) -> web.Response:
    """Assign these roles to the application, and remove its others."""
    context = request.app[CONTEXT]
    wanted = await body(request, _Roles)
    me = context.identity.object_id
    scopes = [wanted.scope] if wanted.scope else [workspace.path for workspace in context.store.workspaces]
    others = [found for found in context.store.role_assignments if found.principal_id != me]
    roles = [role for name in wanted.roles if (role := role_named(name)) is not None]
    mine = [RoleAssignment(str(uuid.uuid4()), scope, me, role) for scope in scopes for role in roles]
    context.store.role_assignments[:] = [*others, *mine]
    return await _get_roles(request)


async def _vaults(request: web.Request) -> web.Response:
    """Answer the key vaults with the names of their secrets, without values."""
    return web.json_response(
        [
            {
                "name": vault.name,
                "uri": f"{vault.address}/",
                "secrets": [vault.names[key] for key in vault.secrets],
                "deleted": [vault.names[key] for key in vault.deleted],
            }
            for vault in request.app[CONTEXT].store.vaults
        ]
    )


async def _let_use_vaults(request: web.Request) -> web.Response:
    """Assign the roles with which the application writes secrets and computes read them; keep existing ones."""
    context = request.app[CONTEXT]
    wanted = await body(request, _VaultAccess)
    who = [(context.identity.object_id, "Key Vault Secrets Officer")]
    for name in wanted.computes:
        computes = [one.find_compute(name) for one in context.store.workspaces]
        bodies = [compute.body for compute in computes if compute is not None]
        identities = [one for body in bodies for one in identities_in(body.get("identity"), name)]
        if not identities:
            raise refuse(f"There is no compute {name} with a managed identity.")
        who += [(one.object_id, "Key Vault Secrets User") for one in identities]
    for principal, role in who:
        context.store.role_assignments += [
            RoleAssignment(str(uuid.uuid4()), vault.path, principal, found)
            for vault in context.store.vaults
            if (found := role_named(role)) is not None
        ]
    return await _get_roles(request)


async def _reset(request: web.Request) -> web.Response:
    """Delete everything but the settings, the secret and the revocations."""
    context = request.app[CONTEXT]
    await context.end_all()
    for workspace in context.store.workspaces:
        workspace.clear()
    for vault in context.store.vaults:
        vault.clear()
    context.store.registries.clear()
    context.store.make_owner(context.identity.object_id)
    context.store.operations.clear()
    if context.journal is not None:  # before the files: no job is left without its own
        context.journal.mark()
        context.journal.save()
    try:
        clear_jobs(context.folder)
    except StateFolderError as error:
        raise refuse(str(error)) from error
    request.app[RECORDER].requests.clear()
    request.app[FAULTS].armed.clear()
    request.app[RATE_LIMITS].buckets.clear()
    context.scenarios.armed.clear()
    return web.Response(status=204)
