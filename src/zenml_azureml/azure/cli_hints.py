"""Commands of the Azure CLI for messages. Every message that has one takes it from here. Imports no `azure.*`.

A command names all that the CLI would otherwise take from its own configuration: workspace, resource group and
subscription, and the cloud unless it is the public one. The CLI has one cloud at a time, which is selected first.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from zenml_azureml.clouds import AZURE, Cloud


class Address(Protocol):
    """The address of a workspace: a `connection.WorkspaceAddress`."""

    @property
    def subscription_id(self) -> str:
        """Its Azure subscription."""

    @property
    def resource_group(self) -> str:
        """Its resource group."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def cloud(self) -> Cloud:
        """Its cloud."""


def az_ml(address: Address, command: str, /, **options: str | Literal[True]) -> str:
    """Return a command on something in a workspace.

    Args:
        address: The workspace.
        command: The words after `az`, e.g. `ml job cancel`.
        options: Its options; `max_instances` stands for `--max-instances`, and True for one without a value.
    """
    return _command(address.cloud, command, {**options, "workspace_name": address.name, **_place_of(address)})


def az_ml_workspace(address: Address, command: str, /, **options: str | Literal[True]) -> str:
    """Return a command on a workspace itself; arguments as for `az_ml`."""
    return _command(address.cloud, command, {"name": address.name, **options, **_place_of(address)})


def az_resource(cloud: Cloud, command: str, resource_id: str, /, **options: str | Literal[True]) -> str:
    """Return a command on another resource, such as a container registry or a key vault.

    Args:
        cloud: The cloud that it is in.
        command: The words after `az`, e.g. `acr update`.
        resource_id: Its ARM id.
        options: Further options.
    """
    parts = resource_id.strip("/").split("/")
    _, subscription, _, group = parts[:4]
    place = {"resource_group": group, "subscription": subscription}
    return _command(cloud, command, {"name": parts[-1], **options, **place})


def az_assign_role(address: Address, role: str, object_id: str, scope: str, *, is_user: bool = False) -> str:
    """Return the command that assigns a role.

    Args:
        address: A workspace in the cloud and the subscription of the resource.
        role: The role.
        object_id: Object id of the principal that gets it; empty if unknown.
        scope: ARM id of the resource, which contains its resource group; a placeholder if unknown.
        is_user: True if the principal is a person.
    """
    found = re.match("/subscriptions/([^/]+)/", scope, re.IGNORECASE)
    options = {
        "role": role,
        "assignee_object_id": object_id or "OBJECT_ID",
        "assignee_principal_type": "User" if is_user else "ServicePrincipal",
        "scope": scope,
        "subscription": found[1] if found else address.subscription_id,
    }
    return _command(address.cloud, "role assignment create", options)


def az_set_vault_policy(cloud: Cloud, vault_id: str, object_id: str, permissions: Sequence[str]) -> str:
    """Return the command that adds an access policy to a key vault.

    Args:
        cloud: The cloud that it is in.
        vault_id: Its ARM id.
        object_id: Object id of the principal that gets the permissions; empty if unknown.
        permissions: The permissions for secrets.
    """
    granted = f"--secret-permissions {' '.join(permissions)}"
    return f"{az_resource(cloud, 'keyvault set-policy', vault_id, object_id=object_id or 'OBJECT_ID')} {granted}"


def az_login(cloud: Cloud, tenant_id: str = "") -> str:
    """Return the command that logs in to a cloud; a tenant, if one is known, has no workspace and no subscription."""
    return _command(cloud, "login", {"tenant": tenant_id} if tenant_id else {})


def az_provider_register(address: Address, namespace: str) -> str:
    """Return the command that registers a resource provider in the subscription of a workspace."""
    options = {"namespace": namespace, "subscription": address.subscription_id}
    return _command(address.cloud, "provider register", options)


def az_lock_list(address: Address) -> str:
    """Return the command that lists the locks of the resource group of a workspace, and of what is in it."""
    return _command(address.cloud, "lock list", _place_of(address))


def az_reset_secret(cloud: Cloud, client_id: str) -> str:
    """Return the command that makes another secret for an application, which belongs to no subscription."""
    return _command(cloud, "ad app credential reset", {"id": client_id, "append": True})


def _command(cloud: Cloud, command: str, options: Mapping[str, str | Literal[True]]) -> str:
    words = [f"az {command}"]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        words.append(option if value is True else f"{option} {_quoted(value)}")
    selected = "" if cloud.name == AZURE.name else f"az cloud set --name {cloud.name}; "
    return selected + " ".join(words)


def _place_of(address: Address) -> dict[str, str]:
    return {"resource_group": address.resource_group, "subscription": address.subscription_id}


def _quoted(value: str) -> str:
    """Return a value as one word of a command line, in double quotes if these are enough: all shells know them."""
    if re.fullmatch(r"[\w@%+=:,./-]+", value):
        return value
    return shlex.quote(value) if re.search(r'["\\$`!]', value) else f'"{value}"'
