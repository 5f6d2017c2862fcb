"""Access to the key vault for the secrets of jobs: finds the vault, and checks whether a job can read its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import HttpResponseError

from zenml_azureml.azure.arm.client import COMPUTES, VAULTS, WORKSPACES, ResourceManager
from zenml_azureml.azure.arm.models import ManagedIdentity, managed_identities
from zenml_azureml.azure.cli_hints import az_assign_role, az_ml, az_set_vault_policy
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.state import kind_in_words
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobIdentity

#: The roles that are enough. Source: Microsoft's "Provide access to Key Vault keys, certificates, and secrets with
#: Azure role-based access control".
WRITER, READER = "Key Vault Secrets Officer", "Key Vault Secrets User"

#: The action that reads a secret.
_READ = "Microsoft.KeyVault/vaults/secrets/getSecret/action"


@dataclass(frozen=True)
class FoundVault:
    """A key vault.

    Attributes:
        url: Its address, without a slash at the end.
        id: Its ARM id; empty if unknown.
        uses_roles: True if roles control access, False if access policies do; None if unknown.
        readers: Object ids of the principals that access policies let read secrets.
    """

    url: str
    id: str = ""
    uses_roles: bool | None = None
    readers: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return self.id.rpartition("/")[2] or urlsplit(self.url).hostname or self.url

    def how_to_let(
        self, who: str, object_id: str, address: WorkspaceAddress, *, write: bool, is_user: bool = False
    ) -> str:
        """Return how to grant access: a sentence, and the command on a line of its own.

        Args:
            who: The principal, as it stands in the middle of a sentence.
            object_id: Object id of the principal; empty if unknown.
            address: The workspace.
            write: True for write access, False for read access only.
            is_user: True if the principal is a person.
        """
        role, to = (WRITER, "write and delete") if write else (READER, "read")
        if self.uses_roles is False:
            permissions = ("set", "get", "list", "delete") if write else ("get",)
            command = az_set_vault_policy(address.cloud, self.id, object_id, permissions)
            return f"Allow {who} to {to} secrets of the key vault `{self.name}`:\n{command}"
        command = az_assign_role(address, role, object_id, self.id or "VAULT_ID", is_user=is_user)
        return f"Assign the role `{role}` on the key vault `{self.name}` to {who}:\n{command}"


def find_vault(connection: WorkspaceConnection, named: str | None) -> FoundVault:
    """Find the key vault by its name, URL or ARM id.

    Args:
        connection: The workspace.
        named: Name, URL or ARM id of a vault; None for the workspace's own.

    Raises:
        AzureMLError: If the workspace has none.
        azure.core.exceptions.AzureError: If Resource Manager cannot be reached or refuses.
    """
    manager, address = ResourceManager(connection), connection.address
    if named is None:
        named = connection.key_vault_id
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
        # A principal that may use the vault may lack access to its ARM resource: build the address from the name.
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
        who: Its name, as it stands in the middle of a sentence.
        object_id: Its object id, for role assignments.
    """

    who: str
    object_id: str


def reader_of(
    manager: ResourceManager, address: WorkspaceAddress, target: ComputeTarget, identity: JobIdentity | None
) -> Reader:
    """Return the identity that a job reads its secrets with.

    Args:
        manager: Client of Resource Manager.
        address: The workspace.
        target: The compute that the job runs on.
        identity: The requested identity of the job.

    Raises:
        AzureMLError: If it has no managed identity. If the spec alone shows that, no request is sent.
        azure.core.exceptions.AzureError: If Resource Manager cannot be reached or refuses.
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
            # one of the workspace if the job has `identity: managed`. And "Use authentication credential secrets in
            # Azure Machine Learning jobs": the identity that is specified for the job is the one that needs the role.
            raise AzureMLError(
                "A job on serverless compute has no managed identity to read secrets from a key vault with, unless you "
                "request one.",
                hint="Set `identity='managed'`. The workspace needs a user-assigned identity with the role "
                f"`{READER}` on its key vault.",
            )
        body = manager.get(address.path, WORKSPACES)
        own = (body.get("properties") or {}).get("primaryUserAssignedIdentity")
        assigned = [identity for identity in managed_identities(body) if identity.path]
        found = sorted(assigned, key=lambda identity: identity.path.lower() != str(own).lower())
        # A workspace with a system-assigned identity may get others later. Source: Microsoft Learn, "Set up
        # authentication between Azure Machine Learning and other services".
        lacking = "Add a user-assigned identity to the workspace (Azure portal: the workspace, then Identity)."
    else:
        body = manager.get(f"{address.path}/computes/{target.name}", COMPUTES)
        found = list(managed_identities(body))
        lacking = _how_to_give_identity(target.name, address)
    wanted = identity.client_id if identity is not None else None
    for managed in found:
        if wanted in (None, managed.client_id):
            return _reader(managed, target.name)
    which = f" with the client id {wanted}" if wanted and found else ""
    raise AzureMLError(
        f"A job on {place} has no managed identity{which} to read secrets from a key vault with.", hint=lacking
    )


def _how_to_give_identity(compute: str, address: WorkspaceAddress) -> str:
    command = az_ml(address, "ml compute update", name=compute, identity_type="system_assigned")
    return f"Assign an identity to it:\n{command}\nFor a compute that the operator creates, set `compute_identity`."


def may_read(manager: ResourceManager, vault: FoundVault, reader: Reader) -> bool | None:
    """Return True if an identity may read the secrets of a vault; None if that cannot be checked.

    Raises:
        azure.core.exceptions.AzureError: If Resource Manager cannot be reached or refuses.
    """
    if vault.uses_roles is False:
        return reader.object_id in vault.readers
    if not vault.id:
        return None
    permissions = manager.permissions_of(reader.object_id, vault.id)
    return None if permissions is None else any(permission.allows_data(_READ) for permission in permissions)


def _reader(identity: ManagedIdentity, compute: str | None) -> Reader:
    name = identity.path.rpartition("/")[2]
    return Reader(f"the identity `{name}`" if name else f"the identity of `{compute}`", identity.object_id)
