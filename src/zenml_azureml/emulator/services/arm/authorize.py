"""The check by Azure Resource Manager whether the caller's roles allow what is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.responses import GatewayError
from zenml_azureml.emulator.services.arm.rbac import allowed
from zenml_azureml.emulator.services.entra.bearer import APPLICATION, PRINCIPAL

#: Begins the paths of Azure ML's own host that are otherwise those of Azure Resource Manager.
DATA_PLANE = "/mferp/managementfrontend"

#: Guess: the principal that started an operation may poll it with any role; the URLs for it are signed.
_POLLS = ("computeoperationsstatus", "mfeoperationsstatus", "mfeoperationresults")

#: Guess: every principal may read its own permissions; the portal does so for the signed-in user.
_OPEN_TO_ALL = ("microsoft.authorization/permissions/read",)

_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


@web.middleware
async def demand_role(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let nothing through to a subscription that no role of the caller allows.

    Raises:
        GatewayError: 403, with Azure Resource Manager's message.
    """
    # As the router reads it: a slash that is quoted parts no names.
    asked = action_and_scope(request.method, request.rel_url.path_safe.removeprefix(DATA_PLANE))
    if asked is not None:
        action, scope = asked
        context = request.app[CONTEXT]
        who = request[PRINCIPAL]
        if _exists(scope, context) and not allowed(context.store.role_assignments, who, action, scope):
            # Quoted in many public reports; the client is named by its object id if it is an application.
            raise GatewayError(
                403,
                "AuthorizationFailed",
                f"The client '{request[APPLICATION]}' with object id '{who}' does not have authorization to perform "
                f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
                "please refresh your credentials.",
            )
    return await handler(request)


def _exists(scope: str, context: Context) -> bool:
    """True if the subscription of a scope exists. If not, its handler answers that, instead of a refusal."""
    subscription = scope.split("/")[2].lower()
    return any(workspace.subscription_id.lower() == subscription for workspace in context.store.workspaces)


def action_and_scope(method: str, path: str) -> tuple[str, str] | None:
    """Return the action and the scope of a request for the check of roles; None if no role is needed.

    `PUT .../workspaces/w/jobs/j` is `Microsoft.MachineLearningServices/workspaces/jobs/write` at the job,
    `GET .../workspaces/w/jobs` is `.../jobs/read` at the workspace, `POST .../jobs/j/cancel` is
    `.../jobs/cancel/action` at the job.

    Args:
        method: HTTP method.
        path: Path of the URL.
    """
    parts = path.strip("/").split("/")
    if len(parts) < 2 or parts[0].lower() != "subscriptions":
        return None
    above, names = _split_at_provider(parts)
    if not names:
        kind = "subscriptions/resourceGroups" if len(parts) > 2 else "subscriptions"
        return f"Microsoft.Resources/{kind}/{_VERBS.get(method, 'action')}", f"/{'/'.join(parts)}"
    namespace, *rest = names
    if not rest:  # the resource provider itself
        return f"Microsoft.Resources/subscriptions/providers/{_VERBS.get(method, 'action')}", f"/{'/'.join(above)}"
    kinds = rest[::2]
    if any(kind.lower() in _POLLS for kind in kinds):
        return None
    is_list = len(rest) % 2 == 1  # or a POST to do something with what is before it
    scope = "/".join([*above, "providers", namespace, *(rest[:-1] if is_list else rest)])
    if is_list and len(rest) == 1:
        scope = "/".join(above)
    verb = _VERBS.get(method, "action")
    action = f"{namespace}/{'/'.join(kinds)}/{verb}"
    return None if action.lower() in _OPEN_TO_ALL else (action, f"/{scope}")


def _split_at_provider(parts: list[str]) -> tuple[list[str], list[str]]:
    """Return the parts before the last `/providers/`, and those after it."""
    lower = [part.lower() for part in parts]
    if "providers" not in lower:
        return parts, []
    at = len(parts) - 1 - lower[::-1].index("providers")
    return parts[:at], parts[at + 1 :]
