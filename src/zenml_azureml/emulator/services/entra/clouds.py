"""Differences between Azure's clouds, as far as the emulator has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class EmulatedCloud:
    """One of Azure's clouds.

    Attributes:
        name: Its name in clients.
        arm_audiences: Audiences of tokens for Azure Resource Manager, in the order of its refusal.
        other_audiences: The other services that an application may ask a token for.
        studio: Azure ML Studio.
        resource_manager: Host of Azure Resource Manager.
        login_hosts: Hosts of Microsoft Entra, the one that clients are to use first.
        blob_hosts: Pattern of the hosts of storage accounts' blobs.
        vault: Audience of tokens for key vaults.
        registry_suffix: Suffix of the hosts of container registries.
        aml_hosts: Patterns of the hosts of Azure ML's own services: run history and MLflow.
        not_emulated: Patterns of the hosts of services that the emulator does not have.
    """

    name: str
    arm_audiences: tuple[str, ...]
    other_audiences: frozenset[str]
    studio: str
    resource_manager: str
    login_hosts: tuple[str, ...]
    blob_hosts: str
    registry_suffix: str
    vault: str
    aml_hosts: tuple[str, ...]
    not_emulated: tuple[str, ...]

    @property
    def vault_hosts(self) -> str:
        """Pattern of the hosts of key vaults."""
        return f"*.{self.vault.removeprefix('https://')}"

    def knows(self, audience: str) -> bool:
        """True if a token can be requested for an audience, with or without a slash at its end."""
        return audience in self.arm_audiences or audience.rstrip("/") in self.other_audiences


def _cloud(
    name: str,
    old_management: str,
    resource_manager: str,
    studio: str,
    vault: str,
    *,
    login: tuple[str, ...],
    blobs: str,
    registries: str,
    aml: tuple[str, ...],
    others: tuple[str, ...],
) -> EmulatedCloud:
    storage = blobs.removeprefix("*.blob")
    return EmulatedCloud(
        name=name,
        arm_audiences=(f"{old_management}/", old_management, f"{resource_manager}/", resource_manager),
        other_audiences=frozenset({"https://storage.azure.com", studio, vault}),
        studio=studio,
        resource_manager=resource_manager.removeprefix("https://"),
        login_hosts=login,
        blob_hosts=blobs,
        registry_suffix=registries,
        vault=vault,
        aml_hosts=aml,
        not_emulated=(f"*{registries}", *(f"*.{kind}{storage}" for kind in ("dfs", "file", "queue", "table")), *others),
    )


#: Azure's clouds by name. Source: what `az cloud show` prints, which Microsoft's documentation shows; the login hosts
#: are the aliases that instance discovery names (AzureAD/microsoft-authentication-library-for-js, its metadata); those
#: of Azure ML, of its deployments and notebooks, and of Microsoft Graph: "Configure inbound and outbound network
#: traffic" for Azure ML, which lists the hosts of each cloud.
# Guess: that the other clouds take the same kinds of audience as the public one, whose refusal is quoted.
CLOUDS = {
    cloud.name: cloud
    for cloud in (
        _cloud(
            "AzureCloud",
            "https://management.core.windows.net",
            "https://management.azure.com",
            "https://ml.azure.com",
            "https://vault.azure.net",
            login=("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"),
            blobs="*.blob.core.windows.net",
            registries=".azurecr.io",
            aml=("*.api.azureml.ms", "*.experiments.azureml.net"),
            others=("*.inference.ml.azure.com", "*.notebooks.azure.net", "graph.microsoft.com", "graph.windows.net"),
        ),
        _cloud(
            "AzureChinaCloud",
            "https://management.core.chinacloudapi.cn",
            "https://management.chinacloudapi.cn",
            "https://ml.azure.cn",
            "https://vault.azure.cn",
            login=("login.partner.microsoftonline.cn", "login.chinacloudapi.cn"),
            blobs="*.blob.core.chinacloudapi.cn",
            registries=".azurecr.cn",
            aml=("*.api.ml.azure.cn", "*.experiments.ml.azure.cn"),
            others=(
                *("*.inference.ml.azure.cn", "*.notebooks.chinacloudapi.cn"),
                *("microsoftgraph.chinacloudapi.cn", "graph.chinacloudapi.cn"),
            ),
        ),
        _cloud(
            "AzureUSGovernment",
            "https://management.core.usgovcloudapi.net",
            "https://management.usgovcloudapi.net",
            "https://ml.azure.us",
            "https://vault.usgovcloudapi.net",
            login=("login.microsoftonline.us", "login.usgovcloudapi.net"),
            blobs="*.blob.core.usgovcloudapi.net",
            registries=".azurecr.us",
            aml=("*.api.ml.azure.us", "*.experiments.ml.azure.us"),
            others=("*.inference.ml.azure.us", "*.notebooks.usgovcloudapi.net", "graph.microsoft.us"),
        ),
    )
}

#: The hosts that the emulator answers for, as patterns in which `*` stands for any beginning.
AZURE_HOSTS = tuple(
    host
    for cloud in CLOUDS.values()
    for host in (
        *(*cloud.login_hosts, cloud.resource_manager, cloud.blob_hosts, cloud.vault_hosts),
        *(*cloud.aml_hosts, *cloud.not_emulated),
    )
)


def certified_hosts(regions: Iterable[str]) -> tuple[str, ...]:
    """Return the names for a certificate, in which `*` stands for one label only.

    Args:
        regions: Regions of the workspaces, which are labels in the hosts of their deployments.
    """
    deployments = [host for host in AZURE_HOSTS if host.startswith("*.inference.")]
    names = (host.replace("*", f"*.{region}", 1) for region in sorted(set(regions)) for host in deployments)
    return (*AZURE_HOSTS, *names)
