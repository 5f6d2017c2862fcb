"""An emulator as a process of its own, with the workspace of a target."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
from azure.identity import WorkloadIdentityCredential

from zenml_azureml.emulator.local import daemon, shell_env
from zenml_azureml.emulator.local.instance import Options, Running
from zenml_azureml.emulator.local.keys import found_keys
from zenml_azureml.emulator.services.arm.rbac import role_named
from zenml_azureml.emulator.services.entra.machine_identities import user_assigned

#: What `emulator env` would set, and nothing of Azure that the shell has.
_OF_AZURE = ("AZURE_", "AZUREML_", "REQUESTS_CA", "MSI_", "IDENTITY_")


#: The roles that an identity needs, by the workspace's resource.
READERS = {"keyVault": "Key Vault Secrets User", "storageAccount": "Storage Blob Data Reader"}


@contextmanager
def emulator(state: Path, names: tuple[str, str, str], region: str) -> Iterator[Running]:
    """Run an emulator with real processes as jobs.

    Args:
        state: Its state folder, which does not exist.
        names: Subscription, resource group and workspace.
        region: Region of the workspace.
    """
    subscription, group, workspace = names
    options = Options(subscription_id=subscription, resource_group=group, workspace_name=workspace, location=region)
    running = daemon.start(state, options)
    try:
        yield running
    finally:
        daemon.stop(state)


def environment(running: Running, shell: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which all clients of Azure find an emulator."""
    kept = {name: value for name, value in shell.items() if not name.startswith(_OF_AZURE) or "_VERIFIED_" in name}
    return {**kept, **shell_env.variables(running, running.ca_bundle, shell)}


def let_use_vault(running: Running, workspace_id: str, identity: str = "") -> None:
    """Give the application the role to write secrets, and a user-assigned identity those to read them and the storage.

    Args:
        running: The emulator.
        workspace_id: ARM id of the workspace.
        identity: ARM id of the identity; empty for none.
    """
    keys = found_keys(running.state)
    assert keys is not None
    with requests.Session() as session:
        session.verify = str(running.ca_bundle)
        session.trust_env = False
        url = f"{running.base_url}/_emulator/vault-access"
        session.post(url, json={"computes": []}, headers=keys.admin_headers, timeout=60).raise_for_status()
        if not identity:
            return
        credential = WorkloadIdentityCredential(
            tenant_id=running.tenant_id,
            client_id=running.client_id,
            token_file_path=str(running.federated_token_file),
            authority=running.base_url,
            disable_instance_discovery=True,
            connection_verify=str(running.ca_bundle),
        )
        session.headers["Authorization"] = (
            f"Bearer {credential.get_token('https://management.azure.com/.default').token}"
        )
        workspace = session.get(f"{running.base_url}{workspace_id}?api-version=2024-04-01", timeout=60).json()
        for what, named in READERS.items():
            role = role_named(named)
            assert role is not None
            properties = {
                "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role.id}",
                "principalId": user_assigned([identity])[identity]["principalId"],
            }
            path = f"{workspace['properties'][what]}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
            url = f"{running.base_url}{path}?api-version=2022-04-01"
            session.put(url, json={"properties": properties}, timeout=60).raise_for_status()
