"""Which key vault the secrets of jobs travel by, and whether a job can read there what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import HttpResponseError

from zenml_azureml.azure.arm.client import COMPUTES, VAULTS, WORKSPACES, ResourceManager
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.state import kind_in_words
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobIdentity

#: The roles that are enough. Source: Microsoft's "Provide access to Key Vault keys, certificates, and secrets with
#: Azure role-based access control".
WRITER, READER = "Key Vault Secrets Officer", "Key Vault Secrets User"

#: What reading a secret asks for.
_READ = "Microsoft.KeyVault/vaults/secrets/getSecret/action"


@dataclass(frozen=True)
class FoundVault:
    """A key vault.

    Attributes:
        url: Its address, without a slash at the end.
        id: Its ARM id; empty where it is not known.
        uses_roles: Whether roles say who may use it; None where that is not known.
        readers: Object ids of those whom access policies let read secrets.
    """

    url: str
    id: str = ""
    uses_roles: bool | None = None
    readers: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.id.rpartition("/")[2] or urlsplit(self.url).hostname or self.url

    def how_to_let(self, who: str, object_id: str, *, write: bool, is_user: bool = False) -> str:
        """How somebody gets what they need, as sentences.

        Args:
            who: In the middle of a sentence.
            object_id: What roles are assigned to; empty where it is not known.
            write: Whether they are to write, or only to read.
            is_user: Whether it is a person.
        """
        role, to = (WRITER, "write and delete") if write else (READER, "read")
        assignee = object_id or "OBJECT_ID"
        if self.uses_roles is False:
            deeds = "set get list delete" if write else "get"
            return (
                f"Let {who} {to} secrets of the key vault `{self.name}`: az keyvault set-policy --name {self.name} "
                f"--object-id {assignee} --secret-permissions {deeds}"
            )
        kind = "User" if is_user else "ServicePrincipal"
        return (
            f'Give {who} the role `{role}` at the key vault `{self.name}`: az role assignment create --role "{role}" '
            f"--assignee-object-id {assignee} --assignee-principal-type {kind} --scope {self.id or 'VAULT_ID'}"
        )


def find_vault(manager: ResourceManager, address: WorkspaceAddress, named: str | None) -> FoundVault:
    """The key vault that is meant.

    Args:
        manager: Knows it.
        address: The workspace.
        named: Name, URL or ARM id of a vault; None for the workspace's own.

    Raises:
        AzureMLError: If the workspace has none.
        azure.core.exceptions.AzureError: If Resource Manager cannot be asked.
    """
    if named is None:
        named = str((manager.get(address.path, WORKSPACES).get("properties") or {}).get("keyVault") or "")
        if not named:
            raise AzureMLError(
                f"The workspace `{address.name}` has no key vault.",
                hint="Name another one with the setting `key_vault`, or set `secrets_via='environment'`.",
            )
    if named.startswith("/"):
        return _at(manager, named, address)
    url = named.rstrip("/").lower() if "//" in named else f"{_prefix(named)}{address.cloud.vault_suffix}"
    try:
        for body in manager.items(f"/subscriptions/{address.subscription_id}/providers/{_KIND}", VAULTS):
            found = _vault(body)
            if found.url.lower() == url or ("//" not in named and found.name.lower() == named.lower()):
                return found
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
    return FoundVault(url)


_KIND = "Microsoft.KeyVault/vaults"


def _prefix(name: str) -> str:
    return f"https://{name.lower()}"


def _at(manager: ResourceManager, vault_id: str, address: WorkspaceAddress) -> FoundVault:
    try:
        return _vault(manager.get(vault_id, VAULTS))
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        # Who may use it need not be allowed to look at it: its address is made of its name.
        return FoundVault(f"{_prefix(vault_id.rpartition('/')[2])}{address.cloud.vault_suffix}", vault_id)


def _vault(body: Mapping[str, Any]) -> FoundVault:
    properties = body.get("properties") or {}
    policies = properties.get("accessPolicies") or ()
    return FoundVault(
        url=str(properties.get("vaultUri")).rstrip("/"),
        id=str(body.get("id")),
        uses_roles=bool(properties.get("enableRbacAuthorization")),
        readers=frozenset(str(policy.get("objectId")) for policy in policies if _lets_read(policy)),
    )


def _lets_read(policy: Mapping[str, Any]) -> bool:
    granted = {str(one).lower() for one in (policy.get("permissions") or {}).get("secrets") or ()}
    return bool(granted & {"get", "all"})


@dataclass(frozen=True)
class Reader:
    """The managed identity that a job reads secrets with.

    Attributes:
        who: In the middle of a sentence.
        object_id: What roles are assigned to.
    """

    who: str
    object_id: str


def reader_of(
    manager: ResourceManager, address: WorkspaceAddress, target: ComputeTarget, identity: JobIdentity | None
) -> Reader:
    """Who a job is, when it reads its secrets.

    Args:
        manager: Knows the identities.
        address: The workspace.
        target: Where the job runs.
        identity: Whom the job is asked to act as.

    Raises:
        AzureMLError: If it has no managed identity. Nobody is asked where the request alone tells so.
        azure.core.exceptions.AzureError: If Resource Manager cannot be asked.
    """
    place = "serverless compute" if target.name is None else f"the {kind_in_words(target.kind)} `{target.name}`"
    if identity is not None and identity.kind != "managed":
        raise AzureMLError(
            f"A job with `identity={identity.kind!r}` has no managed identity to read secrets from a key vault with.",
            hint="Set `identity='managed'`.",
        )
    if target.name is None:
        if identity is None:
            # Source: Microsoft, "Model training on serverless compute": no system-assigned identity; a user-assigned
            # one of the workspace where the job has `identity: managed`. And "Use authentication credential secrets in
            # Azure Machine Learning jobs": the identity that is specified for the job is the one that needs the role.
            raise AzureMLError(
                "A job on serverless compute has no managed identity to read secrets from a key vault with, unless it "
                "is asked for.",
                hint="Set `identity='managed'`, where the workspace has a user-assigned identity with the role "
                f"`{READER}` at its key vault.",
            )
        body = manager.get(address.path, WORKSPACES)
        own = (body.get("properties") or {}).get("primaryUserAssignedIdentity")
        found = _user_assigned(body.get("identity"), first=own)
        # One with a system-assigned identity may get others later. Source: Microsoft Learn, "Set up authentication
        # between Azure Machine Learning and other services".
        lacking = "Give the workspace a user-assigned identity too (Azure portal: the workspace, then Identity)."
    else:
        body = manager.get(f"{address.path}/computes/{target.name}", COMPUTES)
        found = _identities(body.get("identity"), target.name)
        lacking = _how_to_give_identity(target.name, address)
    wanted = identity.client_id if identity is not None else None
    for client_id, reader in found:
        if wanted in (None, client_id):
            return reader
    which = f" with the client id {wanted}" if wanted and found else ""
    raise AzureMLError(
        f"A job on {place} has no managed identity{which} to read secrets from a key vault with.", hint=lacking
    )


def _how_to_give_identity(compute: str, address: WorkspaceAddress) -> str:
    place = f"--workspace-name {address.name} --resource-group {address.resource_group}"
    return (
        f"Give it one: az ml compute update --name {compute} --identity-type system_assigned {place}. The setting "
        "`compute_identity` is for a compute that this operator is to make."
    )


def may_read(manager: ResourceManager, vault: FoundVault, reader: Reader) -> bool | None:
    """Whether an identity may read the secrets of a vault; None where that cannot be told from here.

    Raises:
        azure.core.exceptions.AzureError: If Resource Manager cannot be asked.
    """
    if vault.uses_roles is False:
        return reader.object_id in vault.readers
    if not vault.id:
        return None
    permissions = manager.permissions_of(reader.object_id, vault.id)
    return None if permissions is None else any(permission.allows_data(_READ) for permission in permissions)


def _identities(identity: Mapping[str, Any] | None, name: str) -> list[tuple[str, Reader]]:
    """Client ids and identities, a resource's own first, whose client id Resource Manager does not tell."""
    own = (identity or {}).get("principalId")
    mine = [("", Reader(f"the identity of `{name}`", str(own)))] if own else []
    return mine + _user_assigned(identity)


def _user_assigned(identity: Mapping[str, Any] | None, first: str | None = None) -> list[tuple[str, Reader]]:
    found = (identity or {}).get("userAssignedIdentities") or {}
    paths = sorted(found, key=lambda path: path.lower() != str(first).lower())
    return [
        (
            str(found[path].get("clientId")),
            Reader(f"the identity `{path.rpartition('/')[2]}`", str(found[path].get("principalId"))),
        )
        for path in paths
    ]
