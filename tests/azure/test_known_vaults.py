"""To which addresses a token for key vaults is sent: those of Azure's own vaults, in every cloud, and no others."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError

from zenml_azureml.azure.arm.client import ResourceManager
from zenml_azureml.azure.auth.refreshing_credential import RenewingCredential
from zenml_azureml.azure.auth.vault_credential import VaultCredential
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.keyvault.delivery import SecretDelivery
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.clouds import CLOUDS, Cloud
from zenml_azureml.exceptions import AzureMLError

#: Source: Microsoft Learn, "Key Vault endpoints" of Azure, Azure Government and Azure operated by 21Vianet.
SUFFIXES = {
    "AzureCloud": "vault.azure.net",
    "AzureUSGovernment": "vault.usgovcloudapi.net",
    "AzureChinaCloud": "vault.azure.cn",
}


class Credential:
    """Has a token of any scope at once.

    Attributes:
        scopes: The scopes that were requested.
    """

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("token", 4_000_000_000)


class Vaults(WorkspaceTransport):
    """All key vaults there are; each is empty.

    Attributes:
        sent: The requests.
    """

    def __init__(self) -> None:
        super().__init__(sleeper=lambda _seconds: None)
        self.sent: list[str] = []

    def send(self, request: Any, **_options: Any) -> Any:
        self.sent.append(f"{request.method} {request.url.partition('?')[0]}")
        raise ResourceNotFoundError("There is no such secret.")


@pytest.fixture
def vaults(monkeypatch: pytest.MonkeyPatch) -> Vaults:
    """The vaults. The workspace's own vault is another one than that of any test."""

    def get(_manager: ResourceManager, path: str, _version: str) -> dict[str, Any]:
        return {"properties": {"vaultUri": "https://own.example/"}, "id": path}

    monkeypatch.setattr(ResourceManager, "get", get)
    monkeypatch.setattr(WorkspaceConnection, "key_vault_id", "/vaults/own")
    return Vaults()


def delivery(cloud: Cloud, vaults: Vaults, credential: Credential | None = None) -> SecretDelivery:
    address = WorkspaceAddress(str(uuid4()), "group", "workspace", cloud)
    connection = WorkspaceConnection(address, lambda: credential or Credential(), vaults)
    return SecretDelivery(connection, SYSTEM_TIME)


def test_the_suffixes_of_all_clouds_are_known() -> None:
    assert {name: cloud.vault_suffix for name, cloud in CLOUDS.items()} == {
        name: f".{suffix}" for name, suffix in SUFFIXES.items()
    }


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_secret_in_one_of_azures_vaults_is_deleted(name: str, vaults: Vaults) -> None:
    url = f"https://team.{SUFFIXES[name]}/secrets/zenml-1"

    delivery(CLOUDS[name], vaults).delete(url)

    assert vaults.sent == [f"DELETE {url}"]


def test_a_secret_of_a_job_that_is_not_found_is_deleted_once_more(vaults: Vaults) -> None:
    url = "https://team.vault.azure.net/secrets/zenml-1"

    delivery(CLOUDS["AzureCloud"], vaults).drop("zenml-1", [url])

    assert vaults.sent == [f"DELETE {url}"] * 2, "one answer may be wrong"


def test_a_secret_is_deleted_once_as_long_as_its_job_is_not_forgotten(vaults: Vaults) -> None:
    """What a process remembers of a job is gone with the job: it may have thousands of them."""
    url, secrets = "https://team.vault.azure.net/secrets/zenml-1", delivery(CLOUDS["AzureCloud"], vaults)
    numbers = []
    for forgotten in ("", "", "zenml-2", "zenml-1"):
        secrets.forget(forgotten)
        secrets.drop("zenml-1", [url, ""])
        numbers.append(len(vaults.sent))

    first = numbers[0]
    assert first > 0
    assert numbers == [first, first, first, 2 * first]


@pytest.mark.parametrize("name", SUFFIXES)
def test_no_request_goes_to_another_address(name: str, vaults: Vaults) -> None:
    suffix = SUFFIXES[name]
    others = [f"https://team.{other}" for other in SUFFIXES.values() if other != suffix]
    lookalikes = [f"https://team.{suffix}.example", f"https://team-{suffix}", f"http://team.{suffix}"]
    lookalikes += [f"https://{suffix}@example", "https://example"]
    for vault in [*others, *lookalikes]:
        with pytest.raises(AzureMLError, match="it is not in a known key vault"):
            delivery(CLOUDS[name], vaults).delete(f"{vault}/secrets/zenml-1")

    assert vaults.sent == []


def test_the_workspaces_own_vault_may_be_at_the_host_of_a_custom_endpoint(vaults: Vaults) -> None:
    cloud = CLOUDS["AzureCloud"].at("https://own.example:8443")

    delivery(cloud, vaults).delete("https://own.example/secrets/zenml-1")

    assert vaults.sent == ["DELETE https://own.example/secrets/zenml-1"]


def test_no_token_is_requested_for_a_vault_elsewhere_even_if_the_workspace_names_it(vaults: Vaults) -> None:
    credential = Credential()

    with pytest.raises(AzureMLError, match=r"leads to https://own\.example, which is sent no token for key vaults"):
        delivery(CLOUDS["AzureCloud"], vaults, credential).delete("https://own.example/secrets/zenml-1")

    assert vaults.sent == credential.scopes == []


@pytest.mark.parametrize("name", SUFFIXES)
def test_a_vault_gets_tokens_for_key_vaults_of_its_cloud_and_for_nothing_else(name: str) -> None:
    cloud, source = CLOUDS[name], Credential()
    credential = VaultCredential(RenewingCredential(lambda: source, cloud), cloud)
    scope = f"https://{SUFFIXES[name]}/.default"
    others = {f"https://{suffix}/.default" for suffix in SUFFIXES.values()} - {scope}

    assert credential.get_token(scope, tenant_id="another", enable_cae=True).token == "token"
    for other in (*others, cloud.token_scope, cloud.studio_scope, "https://storage.azure.com/.default", ""):
        with pytest.raises(ClientAuthenticationError, match="it gets tokens for"):
            credential.get_token(other)
    for several in ((), (scope, cloud.token_scope)):
        with pytest.raises(ClientAuthenticationError, match="it gets tokens for"):
            credential.get_token(*several)

    assert source.scopes == [scope]
