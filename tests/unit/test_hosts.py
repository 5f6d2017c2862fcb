"""Where requests with a token may go, and logs be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_azureml.azure.hosts import _HOSTS, ForeignHostError, Hosts
from zenml_azureml.clouds import AZURE, CLOUDS

CHINA = CLOUDS["AzureChinaCloud"]
GATEWAY = "https://gateway.example.org:8443"


@pytest.mark.parametrize(
    "url",
    [
        "https://management.azure.com/subscriptions/x?api-version=1",
        "https://MANAGEMENT.azure.com:443/x",
        "https://westeurope.api.azureml.ms/discovery",
        "https://0a1b.workspace.westeurope.api.azureml.ms/history",
        "https://eastus2.experiments.azureml.net/x",
    ],
)
def test_a_token_goes_to_the_clouds_own_hosts(url: str) -> None:
    Hosts(AZURE).check_token(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://management.azure.com/x",
        "https://management.azure.com:8443/x",
        "https://management.azure.com.example.org/x",
        "https://management.azure.com@example.org/x",
        "https://user@management.azure.com/x",
        "https://notmanagement.azure.com/x",
        "https://management.chinacloudapi.cn/x",
        "https://api.azureml.ms.example.org/x",
        "https://evilapi.azureml.ms/x",
        "https://job.instances.azureml.ms/x",
        "https://example.org/.api.azureml.ms",
        "https://example.org#.api.azureml.ms",
        "https://example.org\\.api.azureml.ms",
        "https://team.vault.azure.net/secrets",
        "//management.azure.com/x",
        "https://",
        "https://[",
        "https://management.azure.com:x/",
        "",
    ],
)
def test_a_token_goes_nowhere_else(url: str) -> None:
    with pytest.raises(ForeignHostError, match="is sent no token: it is not a host of AzureCloud"):
        Hosts(AZURE).check_token(url)


def test_an_endpoint_of_the_users_own_is_one_of_the_hosts_at_its_port() -> None:
    hosts = Hosts(AZURE.at(GATEWAY), ("https://other.example.org",))

    for url in (f"{GATEWAY}/x", "https://other.example.org/x", "https://management.azure.com/x"):
        hosts.check_token(url)
    with pytest.raises(ForeignHostError):
        hosts.check_token("https://gateway.example.org/x")


def test_a_token_for_key_vaults_goes_to_vaults_only() -> None:
    hosts = Hosts(CHINA.at(GATEWAY))

    hosts.check_vault("https://team.vault.azure.cn/secrets")
    hosts.check_vault("https://gateway.example.org:9999/secrets")
    for url in (
        "https://team.vault.azure.net/x",
        "https://management.chinacloudapi.cn/x",
        "http://team.vault.azure.cn/",
    ):
        with pytest.raises(ForeignHostError, match="is sent no token for key vaults"):
            hosts.check_vault(url)


def test_a_token_goes_to_the_ssh_service_of_a_node_and_to_no_service_of_a_user() -> None:
    Hosts(AZURE).check_node("https://ssh-0a1b.westeurope.nodes.azureml.ms/nbip/v1.0/ws-tcp")
    Hosts(CHINA.at(GATEWAY)).check_node(f"{GATEWAY}/nodes/x")
    for url in (
        "https://8265-0-zenml-1.westeurope.nodes.azureml.ms",
        "https://ssh-0a1b.nodes.azureml.ms.example.org",
        "https://example.org/ssh-0a1b.nodes.azureml.ms",
        "http://ssh-0a1b.westeurope.nodes.azureml.ms",
        "https://ssh-0a1b.westeurope.nodes.azureml.ms:8443",
        "https://ssh-0a1b.westeurope.nodes.azureml.ms@example.org",
        "https://[",
    ):
        with pytest.raises(ForeignHostError, match="is sent no token"):
            Hosts(AZURE).check_node(url)
    with pytest.raises(ForeignHostError):
        Hosts(CHINA).check_node("https://ssh-0a1b.westeurope.nodes.azureml.ms")


def test_logs_are_read_at_the_clouds_storage() -> None:
    Hosts(AZURE).check_blob("https://account.blob.core.windows.net/azureml/log?sig=x")
    Hosts(AZURE).check_blob("https://account.z12.blob.storage.azure.net/azureml/log?sig=x")
    for url in ("https://account.blob.core.chinacloudapi.cn/x", "https://account.file.core.windows.net/x"):
        with pytest.raises(ForeignHostError, match="is not asked for logs"):
            Hosts(AZURE).check_blob(url)


def test_the_page_on_clouds_names_the_hosts() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clouds.md").read_text(encoding="utf-8")

    for name, hosts in _HOSTS.items():
        cloud = CLOUDS[name]
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`") and "*" in line]
        for suffix in (*hosts.services, *hosts.blobs, *hosts.nodes, cloud.vault_suffix):
            assert f"`*{suffix}`" in row
        assert cloud.resource_manager.removeprefix("https://") in row
