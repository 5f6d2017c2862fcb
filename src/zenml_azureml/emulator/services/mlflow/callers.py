"""Who may use MLflow's API and run history's artifacts: a job with the token of its run, and who has a role."""

from __future__ import annotations

import jwt
from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import GatewayError
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.arm.rbac import allowed
from zenml_azureml.emulator.services.entra.bearer import checked_claims
from zenml_azureml.emulator.state import PROVIDER, Workspace

#: Source: Microsoft, "Configure MLflow for Azure Machine Learning", which names `workspaces/experiments/*`.
_ACTION = f"{PROVIDER}/workspaces/experiments/runs"


def check_caller(request: web.Request, workspace: Workspace, *, writes: bool) -> Job | None:
    """Let a request pass that has the token of a run of the workspace's, or a token of a principal with a role.

    Returns:
        The job whose run it is; None for a principal.

    Args:
        request: The request.
        workspace: The workspace that it is for.
        writes: True if it changes something.

    Raises:
        GatewayError: 401 or 403, as Azure Resource Manager says it.
    """
    context = request.app[CONTEXT]
    authorization = request.headers.get("Authorization")
    job = _job_of(authorization or "", workspace)
    if job is not None:
        return job
    claims = checked_claims(authorization, context)
    action = f"{_ACTION}/{'write' if writes else 'read'}"
    if not allowed(context.store.role_assignments, str(claims["oid"]), action, workspace.path):
        # Guess: the words, which are Azure Resource Manager's.
        raise GatewayError(
            403,
            "AuthorizationFailed",
            f"The client '{claims['appid']}' with object id '{claims['oid']}' does not have authorization to perform "
            f"action '{action}' over scope '{workspace.path}' or the scope is invalid. If access was recently granted, "
            "please refresh your credentials.",
        )
    return None


def _job_of(authorization: str, workspace: Workspace) -> Job | None:
    """Return the job of which a header has the token of its run, unless it has ended."""
    scheme, _, token = authorization.partition(" ")
    try:
        name = jwt.decode(token, options={"verify_signature": False}).get("runId")
        job = workspace.find_job(name) if scheme.lower() == "bearer" and isinstance(name, str) else None
        if job is None or job.is_terminal:
            return None
        jwt.decode(token, job.machine_secret, algorithms=["HS256"], options={"verify_exp": False})
    except jwt.InvalidTokenError:
        return None
    return job
