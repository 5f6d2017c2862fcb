"""Contents of a key vault. An emulator whose state lasts saves them in its state folder, for its owner alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from zenml_azureml.emulator.services.arm.rbac import PROVIDER_OF_VAULTS

Json = dict[str, object]


@dataclass
class SecretVersion:
    """One version of a secret.

    Attributes:
        value: The secret value.
        created: Unix time in seconds.
        updated: When its attributes were changed last.
        content_type: As sent.
        tags: As sent.
        enabled: True if it can be read.
        expires: Unix time in seconds; None for never. The service still returns an expired secret.
        not_before: As `expires`.
        version: 32 hexadecimal digits.
    """

    value: str = field(repr=False)
    created: int
    updated: int
    content_type: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    expires: int | None = None
    not_before: int | None = None
    version: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass
class DeletedSecret:
    """A secret that was deleted and can be recovered.

    Attributes:
        versions: Oldest first.
        deleted: Unix time in seconds.
    """

    versions: list[SecretVersion]
    deleted: int


@dataclass
class Vault:
    """A key vault.

    Attributes:
        address: Its address, without a slash at the end: `https://127.0.0.1:PORT`.
        uses_roles: True if roles grant access; False for its access policies.
        access_policies: In the form of Resource Manager.
        secrets: Their versions, oldest first, by name in lower case.
        deleted: Those that can be recovered, by name in lower case.
        names: The names as they were given, by name in lower case.
    """

    subscription_id: str
    resource_group: str
    name: str
    location: str
    created_at: datetime
    address: str
    uses_roles: bool = True
    access_policies: list[Json] = field(default_factory=list)
    secrets: dict[str, list[SecretVersion]] = field(default_factory=dict)
    deleted: dict[str, DeletedSecret] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The ARM id."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/{PROVIDER_OF_VAULTS}/{self.name}"

    def clear(self) -> None:
        """Delete its secrets and its access policies."""
        for held in (self.secrets, self.deleted, self.names, self.access_policies):
            held.clear()
        self.uses_roles = True
