"""Who may use an emulated key vault: roles given to whoever a test says."""

from __future__ import annotations

import uuid

from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.arm.rbac import RoleAssignment, role_named
from zenml_azureml.emulator.services.keyvault.store import Vault


def own_vault(emulator: Emulator) -> Vault:
    """The key vault of the emulator's first workspace."""
    return emulator.context.store.vaults[0]


def grant(emulator: Emulator, role: str, principal_id: str | None = None, at: Vault | str | None = None) -> None:
    """Give somebody a role at a vault, or at another resource.

    Args:
        emulator: The emulator.
        role: Name of the role.
        principal_id: Object id of who gets it; the emulator's one application by default.
        at: The vault, or the ARM id of the resource; the workspace's own vault by default.
    """
    found = role_named(role)
    assert found is not None
    scope = at if isinstance(at, str) else (at or own_vault(emulator)).path
    who = principal_id or emulator.context.identity.object_id

    async def assign() -> None:
        emulator.context.store.role_assignments.append(RoleAssignment(str(uuid.uuid4()), scope, who, found))

    emulator.run(assign())


def values_in(vault: Vault) -> dict[str, str]:
    """What is in a vault, by the names of the secrets."""
    return {vault.names[key]: versions[-1].value for key, versions in vault.secrets.items()}
