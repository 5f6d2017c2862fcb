"""Workspaces that come and go while the emulator serves."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from tests.conftest import credential_of
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator, WorkspaceName

NAME = WorkspaceName(name="another-one")


def client_of(emulator: Emulator, name: WorkspaceName) -> MLClient:
    place = (name.subscription_id, name.resource_group, name.name)
    return MLClient(credential_of(emulator), *place, enable_telemetry=False, polling_interval=0.05)


def submitted(client: MLClient, **simulated: str) -> str:
    environment = Environment(image="python:3.12")
    job = command(name="same", command="true", environment=environment, environment_variables=simulated)
    return str(client.jobs.create_or_update(job).name)


def test_jobs_of_a_removed_workspace_are_ended_and_their_files_deleted(emulator: Emulator, ml_client: MLClient) -> None:
    emulator.context.settings.simulated_seconds = 3600
    emulator.add_workspace(NAME)
    client = client_of(emulator, NAME)
    submitted(client)
    eventually(lambda: client.jobs.get("same").status == "Running")
    folder = emulator.context.folder / "jobs" / "same"
    assert folder.exists()

    emulator.remove_workspace(NAME)

    with pytest.raises(ResourceNotFoundError):
        client.workspaces.get(NAME.name)
    assert not folder.exists()
    assert [workspace.name for workspace in ml_client.workspaces.list()] == ["emulator"]
    emulator.add_workspace(NAME)
    assert list(client_of(emulator, NAME).jobs.list()) == []


@pytest.mark.parametrize(
    ("kinds", "count"), [(None, 1), ("default", 1), (["hub", "default"], 1), ("hub", 0), (["hub", "project"], 0)]
)
@pytest.mark.parametrize("scope", ["resource_group", "subscription"])
def test_workspaces_are_listed_by_kind(
    ml_client: MLClient, kinds: str | list[str] | None, count: int, scope: str
) -> None:
    assert len(list(ml_client.workspaces.list(scope=scope, filtered_kinds=kinds))) == count


def test_its_key_vault_has_an_address_of_its_own_until_then(emulator: Emulator) -> None:
    arm = Arm(emulator)
    emulator.add_workspace(NAME)
    arm.call("POST", "/_emulator/vault-access", {})
    (uri,) = (vault["uri"] for vault in arm.call("GET", "/_emulator/vaults").body if vault["name"] == "anotheronevault")
    secrets = SecretClient(uri, credential_of(emulator), verify_challenge_resource=False, retry_total=0)
    secrets.set_secret("name", "value")
    assert secrets.get_secret("name").value == "value"
    assert any(entry["path"] == "/secrets/name" for entry in arm.call("GET", "/_emulator/requests").body)

    emulator.remove_workspace(NAME)

    with pytest.raises(Exception, match="refused"):
        secrets.get_secret("name")
    assert [vault["name"] for vault in arm.call("GET", "/_emulator/vaults").body] == ["emulatorvault"]
    scopes = [role["scope"] for role in arm.call("GET", "/_emulator/roles").body]
    assert not any("anotherone" in scope for scope in scopes)


def test_the_application_owns_a_subscription_that_is_new(emulator: Emulator) -> None:
    elsewhere = WorkspaceName(subscription_id="00000000-0000-0000-0000-000000000002", name="elsewhere")

    emulator.add_workspace(elsewhere)

    assert client_of(emulator, elsewhere).workspaces.get("elsewhere").name == "elsewhere"


def test_a_name_is_used_once_and_the_first_workspaces_stay(emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is a workspace emulator already"):
        emulator.add_workspace(WorkspaceName())
    with pytest.raises(KeyError):
        emulator.remove_workspace(WorkspaceName())
    with pytest.raises(KeyError):
        emulator.remove_workspace(NAME)


def test_the_emulator_closes_with_workspaces_that_were_added(tmp_path: Path) -> None:
    with Emulator(tmp_path / "state") as emulator:
        emulator.add_workspace(NAME)
        port = int(emulator.context.store.vaults[-1].address.rpartition(":")[2])

    with Emulator(tmp_path / "other", port=port):
        pass  # the port of the vault is free
