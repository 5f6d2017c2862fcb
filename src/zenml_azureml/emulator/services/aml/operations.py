"""Long-running operations on computes: what `Azure-AsyncOperation` points to."""

from __future__ import annotations

import json
import secrets
import uuid
from urllib.parse import urlencode

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import ServiceError, aml_json
from zenml_azureml.emulator.resources import Operation
from zenml_azureml.emulator.services.aml.quota import Refusal
from zenml_azureml.emulator.services.aml.sizes import LOCATION
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    return [web.get(f"{LOCATION}/computeOperationsStatus/{{operation}}", get_operation)]


async def get_operation(request: web.Request) -> web.StreamResponse:
    """Status of an operation.

    Without `Retry-After`, as recorded (compute_op_inprogress_all_headers.json).
    """
    operation = request.app[CONTEXT].store.operations.get(request.match_info["operation"])
    if operation is None:
        # Guess: the answer for an operation that does not exist was not recorded.
        raise ServiceError(404, "UserError", "The operation was not found.", inner=["NotFoundError"])
    return aml_json(request, status_body(operation))


def begin(context: Context) -> Operation:
    """Return a new operation, in progress."""
    operation = Operation(id=str(uuid.uuid4()))
    context.store.operations[operation.id] = operation
    return operation


def end(operation: Operation, refusal: Refusal | None) -> None:
    """Mark an operation as Succeeded or, with a refusal, as Failed."""
    operation.status = "Failed" if refusal else "Succeeded"
    operation.error = None if refusal is None else failure_body(refusal)


def async_headers(request: web.Request, workspace: Workspace, operation: Operation) -> dict[str, str]:
    """Return the one header that leads to an operation (recorded: compute_ci_put.json)."""
    base_url = request.app[CONTEXT].base_url
    version = request.query.get("api-version", "")
    return {
        "Azure-AsyncOperation": (
            f"{base_url}/subscriptions/{workspace.subscription_id}/providers/{PROVIDER}"
            f"/locations/{workspace.location}/computeOperationsStatus/{operation.id}"
            f"?api-version={version}&service=new{signature(version)}"
        )
    }


def signature(api_version: str) -> str:
    """Return the parameters by which the service signs the address of an operation, with an ampersand before them.

    Whatever the values, a client must send them back as they are. Recorded: without them at 2023-02-01-preview and
    before (job_cancel_lro.json, compute_ci_stop.json), with them since 2023-04-01 (job_cancel_running_202.json).

    Args:
        api_version: The version of the request.
    """
    if api_version[:10] < "2023-04-01":
        return ""
    return "&" + urlencode({key: secrets.token_urlsafe(16) for key in ("t", "c", "s", "h")})


def status_body(operation: Operation) -> Json:
    """Return an operation as the service answers a poll (recorded: compute_op_*.json)."""
    if operation.status == "InProgress":
        return {"status": "InProgress"}
    if operation.error is None:
        return {"status": operation.status, "percentComplete": 100.0}
    # Guess: a failed poll was never recorded; `percentComplete` is left out.
    return {"status": operation.status, "error": operation.error}


def failure_body(refusal: Refusal) -> Json:
    """Return the error of a failed operation: the cause as JSON in the message of a BadRequest.

    Quoted by users of two clients (microsoft/vscode-tools-for-ai issue 2096; the fragment in
    quoted_quota_error.json), never recorded.
    """
    cause = {"error": {"code": refusal.code, "message": refusal.message}}
    return {"code": "BadRequest", "message": json.dumps(cause, separators=(",", ":"))}
