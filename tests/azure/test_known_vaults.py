"""To which addresses a token for key vaults is sent: those of Azure's own vaults, in every cloud, and no others."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import pytest
from azure.core.credentials import TokenCredential

from zenml_azureml.azure.arm.client import ResourceManager
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.keyvault.delivery import SecretDelivery
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.clouds import CLOUDS, Cloud
from zenml_azureml.exceptions import AzureMLError

#: Source: Microsoft Learn, "Key Vault endpoints" of Azure, Azure Government and Azure operated by 21Vianet.
SUFFIXES = {
    "AzureCloud": "vault.azure.net",
    "AzureUSGovernment": "vault.usgovcloudapi.net",
    "AzureChinaCloud": "vault.azure.cn",
}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests to vaults. The workspace's own vault is another one than that of any test."""
    sent: list[str] = []

    def ask_vault(_connection: WorkspaceConnection, method: str, url: str, _body: object = None) -> dict[str, Any]:
        sent.append(f"{method} {url.partition('?')[0]}")
        return {}

    def get(_manager: ResourceManager, path: str, _version: str) -> dict[str, Any]:
        return {"properties": {"keyVault": "/vaults/own", "vaultUri": "https://own.example/"}, "id": path}

    monkeypatch.setattr(WorkspaceConnection, "ask_vault", ask_vault)
    monkeypatch.setattr(ResourceManager, "get", get)
    return sent


def delivery(cloud: Cloud) -> SecretDelivery:
    address = WorkspaceAddress(str(uuid4()), "group", "workspace", cloud)
    return SecretDelivery(WorkspaceConnection(address, lambda: cast("TokenCredential", None)), SYSTEM_TIME)


def test_the_suffixes_of_all_clouds_are_known() -> None:
    assert {name: cloud.vault_suffix for name, cloud in CLOUDS.items()} == {
        name: f".{suffix}" for name, suffix in SUFFIXES.items()
    }


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_secret_in_one_of_azures_vaults_is_deleted(name: str, sent: list[str]) -> None:
    url = f"https://team.{SUFFIXES[name]}/secrets/zenml-1"

    delivery(CLOUDS[name]).delete(url)

    assert sent == [f"DELETE {url}"]


@pytest.mark.parametrize("name", SUFFIXES)
def test_no_request_goes_to_another_address(name: str, sent: list[str]) -> None:
    suffix = SUFFIXES[name]
    others = [f"https://team.{other}" for other in SUFFIXES.values() if other != suffix]
    lookalikes = [f"https://team.{suffix}.example", f"https://team-{suffix}", f"http://team.{suffix}"]
    lookalikes += [f"https://{suffix}@example", "https://example"]
    for vault in [*others, *lookalikes]:
        with pytest.raises(AzureMLError, match="it is not in a known key vault"):
            delivery(CLOUDS[name]).delete(f"{vault}/secrets/zenml-1")

    assert sent == []


def test_the_workspaces_own_vault_may_be_anywhere(sent: list[str]) -> None:
    delivery(CLOUDS["AzureCloud"]).delete("https://own.example/secrets/zenml-1")

    assert sent == ["DELETE https://own.example/secrets/zenml-1"]
