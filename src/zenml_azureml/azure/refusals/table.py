"""The table of refusals: words and codes of Azure, what they mean, the next steps, and whether a retry may help. Pure.

Every place that meets a refusal looks here: requests, operations on computes, logs, the failures of jobs, `doctor`.
"""

from __future__ import annotations

import re

from zenml_azureml.azure.cli_hints import Address, az_assign_role, az_lock_list, az_login, az_provider_register
from zenml_azureml.azure.refusals.refusal import Refusal

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMESPACE = re.compile(r"\bMicrosoft\.[A-Za-z]+\b")
_POLICY = re.compile(
    r"""policyAssignment\\?["']?\s*:\s*\{\s*\\?["']name\\?["']\s*:\s*\\?["']([^"'\\]{1,200})"""
    r"|policy(?:Assignment|Definition)(?:DisplayName|Name): ([^\n]{1,200})"
    r"|disallowed by policy:? ['\"`]([^'\"`]{1,200})",
    re.IGNORECASE,
)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE | re.DOTALL)


def _tenant_of(text: str) -> str:
    """Return the tenant that a subscription belongs to, as Azure names it; a placeholder if it names none."""
    after = re.search(r"\bmatch (?:one of )?the tenants?\b(.*)", text, re.IGNORECASE | re.DOTALL)
    found = _UUID.search(after[1]) if after else None
    return found[0] if found else "TENANT_ID"


def _namespace_of(text: str) -> str:
    found = _NAMESPACE.search(text)
    return found[0] if found else "Microsoft.MachineLearningServices"


def _policies_in(text: str) -> str:
    names = dict.fromkeys(next(filter(None, found.groups())).strip() for found in _POLICY.finditer(text))
    if not names:
        return ""
    return f"The {'policy is' if len(names) == 1 else 'policies are'} {', '.join(f'`{name}`' for name in names)}."


def _storage_role(address: Address, _text: str) -> str:
    return az_assign_role(address, "Storage Blob Data Contributor", "", "STORAGE_ACCOUNT_ID")


# Source: https://github.com/Azure/azure-sdk-for-python/issues/38382. The message is translated for some users
# (https://github.com/Azure/LogicAppsUX/issues/4610), the code is not. The others are codes of Microsoft Entra
# (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
OTHER_TENANT = Refusal(
    "other-tenant",
    "the credential is signed in to another tenant than that of the workspace's subscription",
    _words(
        r"InvalidAuthenticationTokenTenant",
        r"token is from the wrong issuer",
        r"must match (?:one of )?the tenants?\b",
        r"\bAADSTS(?:50020|90072|90002|700016)\b",
    ),
    "Sign in to the tenant of the subscription. For a service principal, correct `tenant_id` of the step operator; for "
    "a service connector, the tenant in its configuration. For the login of the Azure CLI:",
    command=lambda address, text: az_login(address.cloud, _tenant_of(text)),
    is_about_token=True,
)
# Source: https://github.com/MicrosoftDocs/azure-docs/issues/90426 (502); the code is the general UserError.
PRIVATE_LINK = Refusal(
    "private-link",
    "the workspace is private, and the request came from outside its network",
    _words(
        r"workspace private link configuration",
        r"(?:denied|forbidden|not allowed|blocked|rejected).{0,120}private[ -]?(?:link|endpoint)",
        r"private[ -]?(?:link|endpoint).{0,120}(?:denied|forbidden|not allowed|blocked|rejected)",
        r"\b(?:only|must)\b.{0,120}private[ -]?(?:link|endpoint)",
        r"\bworkspace\b.*public network access (?:is|was|has been) (?:disabled|denied|not allowed)",
        r"public network access (?:is|was|has been) (?:disabled|denied|not allowed).*\bworkspace\b",
        r"outside of the designated private link",
        r"RequestDeniedByInboundPolicy",
    ),
    "Send the request from inside the network: connect this machine to it (a VPN, for example), or use an orchestrator "
    "that runs there. Or have the owner of the workspace allow access from the public network. Signing in again or "
    "further permissions do not help.",
    by_jobs=True,
    log_words=_words(r"workspace private link configuration"),
)
# Source: https://github.com/Azure/azure-cli/issues/32417.
POLICY = Refusal(
    "policy",
    "an Azure policy of the organisation does not allow it",
    _words(
        r"RequestDisallowedByPolicy", r"disallowed by (?:the |a )?policy", r"\bPolicyViolation\b", r"policy violation"
    ),
    "Change what the policy restricts (such as size, region, network or tags), or ask the administrator of the policy "
    "for an exemption.",
    details=_policies_in,
    by_jobs=True,
)
# Source: https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-region-access-policy.
REGION = Refusal(
    "region-refused",
    "Azure does not let the subscription use this region",
    _words(r"RequestDisallowedByAzure", r"disallowed by Azure\b", r"not (?:currently )?accepting new customers"),
    "Use another region, or request access to this one in the Azure portal.",
    by_jobs=True,
)
# Sources: https://github.com/machine-learning-apps/ml-template-azure/issues/11,
# https://github.com/Azure/CloudShell/issues/487 (SubscriptionNotRegistered).
PROVIDER = Refusal(
    "provider-unregistered",
    "a resource provider is not registered in the subscription",
    _words(
        r"MissingSubscriptionRegistration",
        r"SubscriptionNotRegistered",
        r"NoRegisteredProviderFound",
        r"(?:isn't|is not|not) registered (?:to use namespace|with (?:the )?subscription|for (?:the )?subscription)",
    ),
    "Have an owner or contributor of the subscription register it, which takes some minutes:",
    command=lambda address, text: az_provider_register(address, _namespace_of(text)),
    by_jobs=True,
)
# Sources: https://github.com/microsoft/vscode-azureappservice/issues/1646; for storage, "Common REST API error codes".
SUBSCRIPTION = Refusal(
    "subscription-disabled",
    "the subscription is disabled",
    _words(
        r"ReadOnlyDisabledSubscription",
        r"(?:Disabled|Suspended)Subscription|Subscription(?:Is)?(?:Disabled|Suspended)\b",
        r"subscription\b.{0,100}\b(?:is|was|has been) (?:currently )?(?:disabled|suspended|cancell?ed|deactivated)",
        r"\bAccountIsDisabled\b|account being accessed is disabled",
    ),
    "Have the owner of the subscription re-enable it (a spending limit, credits that are used up, or a payment: "
    "https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled), or use another one.",
    by_jobs=True,
)
# Source: https://github.com/Azure/azure-cli/issues/20232.
LOCK = Refusal(
    "locked",
    "a lock protects the resource or its resource group",
    _words(
        r"\bScopeLocked\b",
        r"scope\(s\) are locked",
        r"remove the lock",
        r"\b(?:management|resource|read-?only|delete) lock\b",
    ),
    "Azure ML writes to its workspace, and deletes what it no longer needs. Have an owner remove the lock that Azure "
    "names. The locks of the resource group:",
    command=lambda address, _text: az_lock_list(address),
    by_jobs=True,
)
# Sources: https://github.com/Azure/azure-sdk-for-python/issues/38826 and /33694.
_IDENTITY_WORDS = _words(
    r"identity has not been assigned to this resource",
    r"(?-i:\bIdentity not found\b)",
    r"no managed identity (?:endpoint|was|is)\b",
    r"managed identity.{0,60}(?:is not|isn't|not) (?:set|assigned|enabled|configured)",
    r"(?:SSO failure|MSI).{0,60}(?:unable|failed) to (?:retrieve|get|acquire) (?:a|an|the)? ?(?:MSI )?token",
)
IDENTITY = Refusal(
    "identity-missing",
    "the compute has no managed identity, or not the one that was requested",
    _IDENTITY_WORDS,
    "Assign a managed identity to the compute: set `compute_identity` for a compute that the operator creates; for "
    "others, use the compute's page in Studio. Serverless compute has no system-assigned identity: set "
    "`identity='managed'`, and `identity_client_id` to a user-assigned identity of the workspace.",
    by_jobs=True,
    log_words=_IDENTITY_WORDS,
)
# Source: https://github.com/microsoft/rag-experiment-accelerator/issues/866.
_STORAGE_KEYS_WORDS = _words(r"KeyBasedAuthenticationNotPermitted", r"key.?based authentication is not permitted")
STORAGE_KEYS = Refusal(
    "storage-keys-disabled",
    "the storage account does not accept account keys, or signatures that are made with them",
    _STORAGE_KEYS_WORDS,
    "Have the workspace use identities for its storage (`systemDatastoresAuthMode` `identity`: "
    "https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage), and assign the role "
    "`Storage Blob Data Contributor` on the storage account to the identity of the compute. Or have the owner of the "
    "storage account allow account keys.",
    by_jobs=True,
    log_words=_STORAGE_KEYS_WORDS,
)
# Sources: https://github.com/MicrosoftDocs/azure-docs/issues/120843 and /115451,
# https://github.com/Azure/azureml-examples/issues/2994,
# https://github.com/Azure-Samples/azure-ml-federated-learning/pull/210.
_STORAGE_ROLE_WORDS = _words(
    r"ScriptExecution\.\w+(?:\.\w+)*\.(?:Authentication|Authorization|PermissionDenied)\b",
    r"\b(?:StreamAccess|WriteStreams)\.(?:Authentication|Authorization)",
    r"(?:DataAccess|Stream|Destination)Error\(\s*PermissionDenied",
    r"ErrorValues\.PermissionDenied",
    r"permission denied (?:when access|while trying to (?:read|write|access))",
    r"Authentication failed when trying to access (?:the )?(?:destination|stream|source)",
    r"AuthorizationPermissionMismatch",
    r"not authorized to perform this operation using this permission",
    r"\bStorageAuthError\b",
)
STORAGE_ROLE = Refusal(
    "storage-access",
    "the identity may not read or write the storage account",
    _STORAGE_ROLE_WORDS,
    "Assign the role `Storage Blob Data Contributor` on the storage account to the identity of the compute, or to the "
    "identity of the job (`identity`). A compute without an identity needs one: set `compute_identity`. The storage "
    "account's firewall must also allow the network of the compute. The change can take a few minutes to take effect.",
    command=_storage_role,
    by_jobs=True,
    log_words=_STORAGE_ROLE_WORDS,
)
# Sources: "Common REST API error codes" of Azure Storage (AuthorizationFailure is its firewall's), and
# https://learn.microsoft.com/azure/key-vault/general/rest-error-codes (ForbiddenByFirewall).
NETWORK_RULES = Refusal(
    "network-rules",
    "its network rules do not allow the request",
    _words(
        r"\bForbiddenBy(?:Firewall|Connection)\b",
        r"\bAuthorizationFailure\b",
        r"Client address is not authorized",
        r"client with IP .{0,80}is not allowed access",
        # Of a workspace, that is a private link's.
        r"\A(?!.*\bworkspace\b).*public (?:network )?access is (?:disabled|not (?:permitted|allowed))",
        r"\bPublicAccessNotPermitted\b|\bIpAuthorizationError\b",
    ),
    "Allow this machine, or the network of the compute, in the firewall of the resource that Azure names, or send the "
    "request from a network that is allowed.",
    by_jobs=True,
)
# Source: "Troubleshoot Azure RBAC", https://learn.microsoft.com/azure/role-based-access-control/troubleshooting.
LINKED_RESOURCE = Refusal(
    "linked-resource",
    "the credential may not use another resource that the request names",
    _words(r"LinkedAuthorizationFailed", r"LinkedAccessCheckFailed", r"on the linked scope\(s\)"),
    "The roles in the workspace are not enough: have the owner of the resource that Azure names assign a role there, "
    "such as `Network Contributor` on a subnet, or `Managed Identity Operator` on a user-assigned identity.",
)
# Sources: https://github.com/microsoft/vscode-tools-for-ai/issues/2605; the free space that an instance needs:
# https://github.com/MicrosoftDocs/azure-docs/issues/110040.
INSTANCE_DISK = Refusal(
    "instance-disk-full",
    "the disk of the compute instance is full",
    _words(
        r"no space left on device",
        r"disk (?:is |was |usage )?(?:almost )?full\b",
        r"(?:out of|insufficient|not enough|low) (?:free )?disk space",
        r"\b(?:Node)?DiskFull",
    ),
    "Delete files in the instance's terminal until 5 GB are free, and restart it there with `sudo reboot`. If it "
    "cannot be reached any more, delete it; the next run creates it again.",
)
# Sources: https://github.com/Azure/azure-cli/issues/17075, https://github.com/microsoft/vscode-tools-for-ai/issues/2096.
IN_PROGRESS = Refusal(
    "operation-in-progress",
    "another operation on it is in progress",
    _words(
        r"another operation\b.{0,80}\b(?:in progress|running|pending|under way)",
        r"conflict of operation",
        r"(?:Another)?OperationInProgress\b",
        r"StartComputeInstanceOnlyAllowedInStoppedState",
        r"only allowed when the instance .{0,80}'?stopped'? state",
        r"\b(?:is|currently) being (?:started|stopped|restarted|resized|updated|deleted)\b",
    ),
    "Wait until that is over (see Studio), and run the step again.",
    may_pass=True,
)
PROXY = Refusal(
    "proxy-refusal",
    "a web page came back, so a proxy or gateway on the way refused the request, not Azure",
    _words(r"(?!)"),  # it is recognised by its form
    "Check the proxy (HTTPS_PROXY, NO_PROXY), its login and its list of allowed hosts, and the setting `arm_endpoint`. "
    "Permissions in Azure do not change it.",
)

#: The order counts: the first one whose words are found. Those with a code of their own come first, because the names
#: of policies, for example, contain the words of others.
TABLE = (
    OTHER_TENANT,
    POLICY,
    REGION,
    PROVIDER,
    SUBSCRIPTION,
    LOCK,
    LINKED_RESOURCE,
    STORAGE_KEYS,
    STORAGE_ROLE,
    NETWORK_RULES,
    PRIVATE_LINK,
    IDENTITY,
    INSTANCE_DISK,
    IN_PROGRESS,
    PROXY,
)
