"""Roles in Azure Resource Manager: what the caller may do somewhere, who has which role, what roles allow.

Form: the examples in Microsoft's API reference, version 2022-04-01 ("Permissions - List For Resource", "Role
Assignments - Create", "- List For Scope", "Role Definitions - Get"). There are the built-in roles, and no groups.
"""

from __future__ import annotations

import re

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import (
    GatewayError,
    gateway_json,
    json_body,
    subscription_not_found,
    timestamp,
)
from zenml_azureml.emulator.services.arm.rbac import BUILT_IN_ROLES, Role, RoleAssignment, held, role_named
from zenml_azureml.emulator.services.arm.schemas import RoleAssignmentSchema
from zenml_azureml.emulator.services.entra.bearer import PRINCIPAL
from zenml_azureml.emulator.types import Json

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/{{group}}"
_SCOPES = (_SUBSCRIPTION, _GROUP, f"{_GROUP}/providers/{{namespace}}/{{kind}}/{{name}}")
_PRINCIPAL = re.compile(r"(?:principalId eq|assignedTo\()\s*'([^']*)'", re.IGNORECASE)


def routes() -> list[web.RouteDef]:
    """Return the routes of this module."""
    found = []
    for scope in _SCOPES:
        root = f"{scope}/providers/Microsoft.Authorization"
        found += [
            web.get(f"{root}/permissions", _permissions),
            web.get(f"{root}/roleAssignments", _list),
            web.get(f"{root}/roleAssignments/{{assignment}}", _get),
            web.put(f"{root}/roleAssignments/{{assignment}}", _create),
            web.delete(f"{root}/roleAssignments/{{assignment}}", _delete),
            web.get(f"{root}/roleDefinitions", _list_definitions),
            web.get(f"{root}/roleDefinitions/{{definition}}", _get_definition),
        ]
    return found


async def _permissions(request: web.Request) -> web.Response:
    """Answer the caller's permissions at a scope: one entry for each role that applies there."""
    context = request.app[CONTEXT]
    mine = held(context.store.role_assignments, request[PRINCIPAL], _scope(request))
    return gateway_json(request, {"value": [_permission(assignment.role) for assignment in mine]})


async def _list(request: web.Request) -> web.Response:
    """Answer the assignments at a scope, above it, and below it unless `$filter=atScope()`."""
    scope = _scope(request)
    wanted = request.query.get("$filter", "")
    principal = _PRINCIPAL.search(wanted)
    below = RoleAssignment("", scope, "", BUILT_IN_ROLES[0])
    found = [
        assignment
        for assignment in request.app[CONTEXT].store.role_assignments
        if (assignment.covers(scope) or ("atscope()" not in wanted.lower() and below.covers(assignment.scope)))
        and (principal is None or assignment.principal_id == principal[1])
    ]
    return gateway_json(request, {"value": [_render(request, assignment) for assignment in found]})


async def _get(request: web.Request) -> web.Response:
    return gateway_json(request, _render(request, _found(request)))


async def _create(request: web.Request) -> web.Response:
    properties = (await json_body(request, RoleAssignmentSchema)).get("properties") or {}
    role = role_named(str(properties.get("roleDefinitionId") or "").rpartition("/")[2])
    if role is None:
        raise GatewayError(
            404,
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{properties.get('roleDefinitionId')}' does not exist.",
        )
    assignments = request.app[CONTEXT].store.role_assignments
    made = RoleAssignment(
        request.match_info["assignment"],
        _scope(request),
        str(properties.get("principalId") or ""),
        role,
        str(properties.get("principalType") or "ServicePrincipal"),
    )
    if any(_same(made, other) for other in assignments):
        raise GatewayError(409, "RoleAssignmentExists", "The role assignment already exists.")
    assignments.append(made)
    return gateway_json(request, _render(request, made), status=201)


async def _delete(request: web.Request) -> web.Response:
    found = _found(request)
    request.app[CONTEXT].store.role_assignments.remove(found)
    return gateway_json(request, _render(request, found))


async def _list_definitions(request: web.Request) -> web.Response:
    name = re.search(r"roleName eq '([^']*)'", request.query.get("$filter", ""), re.IGNORECASE)
    roles = [role for role in BUILT_IN_ROLES if name is None or role.name.lower() == name[1].lower()]
    return gateway_json(request, {"value": [_definition(request, role) for role in roles]})


async def _get_definition(request: web.Request) -> web.Response:
    wanted = request.match_info["definition"]
    role = next((role for role in BUILT_IN_ROLES if role.id == wanted.lower()), None)
    if role is None:
        raise GatewayError(
            404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{wanted}' does not exist."
        )
    return gateway_json(request, _definition(request, role))


def _scope(request: web.Request) -> str:
    """Return the scope in a path, whose subscription must exist."""
    subscription = request.match_info["subscription"]
    if all(w.subscription_id.lower() != subscription.lower() for w in request.app[CONTEXT].store.workspaces):
        raise subscription_not_found(subscription)
    lower = request.path.lower()
    return request.path[: lower.rindex("/providers/microsoft.authorization")]


def _found(request: web.Request) -> RoleAssignment:
    name, scope = request.match_info["assignment"], _scope(request)
    for assignment in request.app[CONTEXT].store.role_assignments:
        if assignment.name.lower() == name.lower() and assignment.scope.lower() == scope.lower():
            return assignment
    # Guess: the message; clients check the code.
    raise GatewayError(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")


def _same(one: RoleAssignment, other: RoleAssignment) -> bool:
    return (one.scope.lower(), one.principal_id, one.role) == (other.scope.lower(), other.principal_id, other.role)


def _permission(role: Role) -> Json:
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": [],
    }


def _definition_id(request: web.Request, role: Role) -> str:
    subscription = request.match_info["subscription"]
    return f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role.id}"


def _render(request: web.Request, assignment: RoleAssignment) -> Json:
    context = request.app[CONTEXT]
    moment = timestamp(context.store.workspaces[0].created_at).replace("+00:00", "Z")
    return {
        "properties": {
            "roleDefinitionId": _definition_id(request, assignment.role),
            "principalId": assignment.principal_id,
            "principalType": assignment.principal_type,
            "scope": assignment.scope,
            "condition": None,
            "conditionVersion": None,
            "createdOn": moment,
            "updatedOn": moment,
            "createdBy": context.identity.object_id,
            "updatedBy": context.identity.object_id,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{assignment.scope}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": assignment.name,
    }


def _definition(request: web.Request, role: Role) -> Json:
    return {
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [_permission(role)],
            "createdOn": "2015-02-02T21:55:09.8806423Z",
            "updatedOn": "2021-11-11T20:13:43.8804751Z",
            "createdBy": None,
            "updatedBy": None,
        },
        "id": _definition_id(request, role),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    }
