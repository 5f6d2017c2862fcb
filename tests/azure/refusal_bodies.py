"""Whole answers that refuse something, in the forms in which Azure's services and those on the way send them.

The words are quoted from public reports; the table (`zenml_azureml/azure/refusals/table.py`) names these. The forms are
recorded for Azure ML (`ground truth` of the emulator: `additionalInfo`), and documented for the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OWN_TENANT = "975f013f-7f24-47e8-a7d3-abc4752bf346"
RIGHT_TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"

#: Advice of other refusals, which sends people the wrong way.
ROLES = "AzureML Data Scientist"
LOGIN = "az login"


@dataclass(frozen=True)
class Body:
    """An answer that refuses something.

    Attributes:
        refusal: Name of the refusal in the table.
        status: Its status.
        data: Its body.
        advice: Part of the advice.
        headers: Its headers, with `_` for `-`.
        words: Part of the words of Azure that are shown.
    """

    refusal: str
    status: int
    data: str
    advice: str
    headers: Mapping[str, str] = field(default_factory=dict)
    words: str = ""


def aml(message: str, code: str = "UserError", inner: Mapping[str, Any] | None = None) -> str:
    """An error of Azure ML's own services."""
    info = [
        {"type": "ComponentName", "info": {"value": "managementfrontend"}},
        {"type": "Correlation", "info": {"value": {"operation": "8be339a65b188842b08b01a7a7c81e7d", "request": "f"}}},
        {"type": "Environment", "info": {"value": "westeurope"}},
        {"type": "Time", "info": {"value": "2026-03-24T04:22:04.4853303+00:00"}},
        *([{"type": "InnerError", "info": {"value": inner}}] if inner else []),
    ]
    body = {"error": {"code": code, "message": message, "details": [], "additionalInfo": info}}
    return json.dumps(body, indent=2)


def arm(code: str, message: str, **more: Any) -> str:
    """An error of Resource Manager."""
    return json.dumps({"error": {"code": code, "message": message, **more}})


def nested(code: str, message: str) -> str:
    """A general error of a deployment, with the cause two levels deeper, once as a text."""
    cause = {"error": {"code": code, "message": message}}
    middle = {"code": "Conflict", "message": json.dumps(cause)}
    return arm("DeploymentFailed", "At least one resource deployment operation failed.", details=[middle])


def storage(code: str, message: str) -> str:
    """An error of storage."""
    times = "RequestId:176c3808-201a-004f-5842-557d35000000\nTime:2026-11-14T08:41:01.5009594Z"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}\n{times}</Message></Error>'
    )


PAGE = (
    "<!DOCTYPE html><html><head><title>{0}</title><style>p {{ color: red }}</style></head><body><h1>{0}</h1>"
    "<p>{1}</p><script>var x = 'disk is full';</script></body></html>"
)
_PRIVATE = "Access to workspace was denied based on workspace private link configuration."
_ISSUER = (
    f"The access token is from the wrong issuer 'https://sts.windows.net/{OWN_TENANT}/'. It must match the tenant "
    f"'https://sts.windows.net/{RIGHT_TENANT}/' associated with this subscription. Please use the authority (URL) "
    f"'https://login.windows.net/{RIGHT_TENANT}' to get the token."
)
_ISSUERS = _ISSUER.replace("the tenant 'https", "one of the tenants 'https")
_POLICIES = json.dumps([{"policyAssignment": {"name": "Allowed sizes", "id": "/providers/x"}, "policyDefinition": {}}])
_UNREGISTERED = (
    "The subscription is not registered to use namespace 'Microsoft.Network'. See https://aka.ms/rps-not-found for how "
    "to register subscriptions."
)
_NOT_REGISTERED = "Resource provider [N/A] isn't registered with Subscription [N/A]. Please see troubleshooting guide."
_DISABLED = (
    f"The subscription '{SUBSCRIPTION}' is disabled and therefore marked as read only. You cannot perform any write "
    "actions on this subscription until it is re-enabled."
)
_LOCKED = (
    f"The scope '/subscriptions/{SUBSCRIPTION}/resourceGroups/group' cannot perform write operation because following "
    f"scope(s) are locked: '/subscriptions/{SUBSCRIPTION}/resourceGroups/group'. Please remove the lock and try again."
)
_PERMISSION = "This request is not authorized to perform this operation using this permission."
_NETWORK = "an orchestrator that runs there"
_REGISTER = f"az provider register --namespace {{}} --subscription {SUBSCRIPTION}"

#: By what is different about them.
BODIES = {
    "private link, 403": Body("private-link", 403, aml(_PRIVATE), _NETWORK, words=_PRIVATE),
    "private link, 401": Body("private-link", 401, aml(_PRIVATE), _NETWORK, words=_PRIVATE),
    "private link, 502": Body("private-link", 502, aml(_PRIVATE), _NETWORK, words=_PRIVATE),
    "private link, inner": Body(
        "private-link",
        403,
        aml("Forbidden", inner={"code": "Forbidden", "innerError": {"code": "PrivateLink", "message": _PRIVATE}}),
        _NETWORK,
        words=_PRIVATE,
    ),
    "private link, plain text": Body(
        "private-link", 403, _PRIVATE, _NETWORK, {"Content_Type": "text/plain"}, words=_PRIVATE
    ),
    "private link, a page": Body(
        "private-link", 502, PAGE.format("Bad Gateway", _PRIVATE), _NETWORK, {"Content_Type": "text/html"}
    ),
    "private link, other words": Body(
        "private-link", 403, aml("The request is not allowed because the private endpoint of x is required."), _NETWORK
    ),
    "policy": Body(
        "policy",
        403,
        arm(
            "RequestDisallowedByPolicy",
            f"Resource 'job-1' was disallowed by policy. Policy identifiers: '{_POLICIES}'.",
            target="job-1",
        ),
        "The policy is `Allowed sizes`.",
    ),
    "policy, in additionalInfo": Body(
        "policy",
        403,
        arm(
            "InvalidTemplateDeployment",
            "The template deployment failed because of policy violation. Please see details for more information.",
            details=[
                {
                    "code": "RequestDisallowedByPolicy",
                    "message": "Resource 'cpu' was disallowed by policy.",
                    "additionalInfo": [
                        {
                            "type": "PolicyViolation",
                            "info": {
                                "policyDefinitionDisplayName": "Compute needs a subnet",
                                "policyAssignmentName": "Deny-MachineLearningCompute-SubnetId",
                            },
                        }
                    ],
                }
            ],
        ),
        "`Deny-MachineLearningCompute-SubnetId`",
    ),
    "policy about private links": Body(
        "policy",
        403,
        arm(
            "RequestDisallowedByPolicy",
            "Resource 'space' was disallowed by policy. Reasons: 'Public network access is disabled: workspaces must "
            "use private link.' Policy identifiers: x",
        ),
        "ask the administrator",
    ),
    "policy, as text": Body("policy", 403, nested("RequestDisallowedByPolicy", "Not so."), "ask the administrator"),
    "region": Body(
        "region-refused",
        403,
        arm(
            "RequestDisallowedByAzure",
            "Resource 'cpu' was disallowed by Azure: It maintains a set of regions.",
        ),
        "Use another region",
    ),
    "provider, 409": Body(
        "provider-unregistered",
        409,
        arm(
            "MissingSubscriptionRegistration",
            _UNREGISTERED,
            details=[{"code": "MissingSubscriptionRegistration", "target": "Microsoft.Network", "message": "x"}],
        ),
        _REGISTER.format("Microsoft.Network"),
    ),
    "provider, 400": Body(
        "provider-unregistered",
        400,
        aml(_NOT_REGISTERED, code="SubscriptionNotRegistered"),
        _REGISTER.format("Microsoft.MachineLearningServices"),
    ),
    "provider, as text": Body(
        "provider-unregistered",
        400,
        nested("MissingSubscriptionRegistration", _UNREGISTERED),
        _REGISTER.format("Microsoft.Network"),
    ),
    "tenant": Body(
        "other-tenant", 401, arm("InvalidAuthenticationTokenTenant", _ISSUER), f"az login --tenant {RIGHT_TENANT}"
    ),
    "tenant, one of them": Body(
        "other-tenant", 401, arm("InvalidAuthenticationTokenTenant", _ISSUERS), f"az login --tenant {RIGHT_TENANT}"
    ),
    "tenant, translated": Body(
        "other-tenant",
        401,
        arm("InvalidAuthenticationTokenTenant", "访问令牌来自错误的颁发者。"),
        "az login --tenant TENANT_ID",
    ),
    "subscription, 409": Body(
        "subscription-disabled", 409, arm("ReadOnlyDisabledSubscription", _DISABLED), "re-enable it", words=_DISABLED
    ),
    "subscription, 403": Body(
        "subscription-disabled", 403, aml("The subscription 'x' has been suspended."), "re-enable it"
    ),
    "lock, 409": Body("locked", 409, arm("ScopeLocked", _LOCKED), "az lock list --resource-group group", words=_LOCKED),
    "lock, in a failed operation": Body(
        "locked",
        409,
        nested("ScopeLocked", _LOCKED),
        f"az lock list --resource-group group --subscription {SUBSCRIPTION}",
    ),
    "storage, mismatch": Body(
        "storage-access",
        403,
        storage("AuthorizationPermissionMismatch", _PERMISSION),
        "Storage Blob Data Contributor",
        {"Content_Type": "application/xml", "x_ms_error_code": "AuthorizationPermissionMismatch"},
        words=_PERMISSION,
    ),
    "storage, StreamAccess": Body(
        "storage-access",
        400,
        aml(
            "Authentication failed when trying to access the stream.",
            code="ScriptExecution.StreamAccess.Authentication",
        ),
        "Storage Blob Data Contributor",
    ),
    "storage, DataAccessError": Body(
        "storage-access",
        400,
        aml("DataAccessError(PermissionDenied)", inner={"code": "BadArgument"}),
        "Storage Blob Data Contributor",
    ),
    "storage, keys": Body(
        "storage-keys-disabled",
        403,
        storage("KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on this account."),
        "systemDatastoresAuthMode",
        {"Content_Type": "application/xml"},
    ),
    "storage, firewall": Body(
        "network-rules",
        403,
        storage("AuthorizationFailure", "This request is not authorized to perform this operation."),
        "firewall of the resource",
        {"Content_Type": "application/xml"},
    ),
    "vault, firewall": Body(
        "network-rules",
        403,
        arm("Forbidden", "Client address is not authorized.", innererror={"code": "ForbiddenByFirewall"}),
        "firewall of the resource",
    ),
    "vault, no public network": Body(
        "network-rules",
        403,
        arm(
            "Forbidden",
            "Public network access is disabled and request is not from a trusted service nor via an approved private "
            "link.",
            innererror={"code": "ForbiddenByConnection"},
        ),
        "firewall of the resource",
    ),
    "private link, no public network": Body(
        "private-link", 403, aml("Public network access is disabled for the workspace."), _NETWORK
    ),
    "linked": Body(
        "linked-resource",
        403,
        arm(
            "LinkedAuthorizationFailed",
            "The client has permission to perform action 'Microsoft.MachineLearningServices/workspaces/computes/write' "
            "on scope 'x'; however, it does not have permission to perform 'Microsoft.Network/virtualNetworks/"
            "subnets/join/action' on the linked scope(s) 'y'.",
        ),
        "`Network Contributor` on a subnet",
    ),
    "identity": Body(
        "identity-missing",
        400,
        json.dumps({"error": "invalid_request", "error_description": "Identity not found"}),
        "`compute_identity`",
    ),
    "a proxy's page": Body(
        "proxy-refusal",
        403,
        PAGE.format("Blocked", "The category of this site is not allowed."),
        "HTTPS_PROXY",
        {"Content_Type": "text/html; charset=utf-8"},
    ),
    "a gateway's page": Body(
        "proxy-refusal",
        403,
        "<html>\r\n<head><title>403 Forbidden</title></head><body><center>Microsoft-Azure-Application-Gateway/v2"
        "</center></body></html>",
        "NO_PROXY",
        {"Content_Type": "text/html"},
    ),
}
