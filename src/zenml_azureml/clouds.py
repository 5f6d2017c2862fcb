"""Azure's clouds and their endpoints, with custom endpoints of Azure Resource Manager. Standard library only.

The stack needs them before any SDK is loaded.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

#: The environment variable with another Resource Manager endpoint for the Azure ML SDK.
#: Source: azure-ai-ml, azure/ai/ml/_azure_environments.py.
ENDPOINT_VARIABLE = "AZUREML_DEV_URL_MFE"


@dataclass(frozen=True)
class Cloud:
    """One of Azure's clouds, with the endpoints of one operator. All URLs are without a slash at the end.

    Attributes:
        name: Azure's name for it, e.g. `AzureCloud`.
        resource_manager: Endpoint of Azure Resource Manager: the cloud's own or a custom one (see `at`).
        audience: Audience of tokens for Azure Resource Manager, also for a custom endpoint.
        authority: Sign-in endpoint of Microsoft Entra.
        studio: URL of Azure ML Studio, which is also the audience of tokens for Azure ML itself.
        portal: URL of the Azure portal.
        vault: Audience of tokens for key vaults.
    """

    name: str
    resource_manager: str
    audience: str
    authority: str
    studio: str
    portal: str
    vault: str

    @property
    def token_scope(self) -> str:
        """The scope of tokens for Azure Resource Manager, which run history accepts too."""
        return f"{self.audience}/.default"

    @property
    def vault_suffix(self) -> str:
        """The suffix of the hosts of key vaults, e.g. `.vault.azure.net`."""
        return f".{self.vault.removeprefix('https://')}"

    @property
    def studio_scope(self) -> str:
        """The scope of tokens for Azure ML itself."""
        return f"{self.studio}/.default"

    def at(self, endpoint: str) -> Cloud:
        """Return the same cloud with a custom endpoint of Resource Manager.

        Args:
            endpoint: `https://host[:port][/path]`.

        Raises:
            ValueError: If it is not such a URL. Requests carry tokens, so TLS is required.
        """
        parts = urlsplit(endpoint)
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(
                f"The Resource Manager endpoint (the setting `arm_endpoint`, or the environment variable "
                f"{ENDPOINT_VARIABLE}) must be a URL like `https://host:port`, not {endpoint!r}."
            )
        return replace(self, resource_manager=endpoint.rstrip("/"))

    def own_scope(self, scope: str) -> str:
        """Return the scope of this cloud for a scope of any cloud; other scopes (storage, vaults) stay unchanged.

        Args:
            scope: A scope, e.g. `https://management.azure.com/.default`.
        """
        for cloud in CLOUDS.values():
            if scope == cloud.token_scope:
                return self.token_scope
            if scope == cloud.studio_scope:
                return self.studio_scope
        return scope


def _cloud(name: str, resource_manager: str, authority: str, studio: str, portal: str, *, vault: str) -> Cloud:
    return Cloud(name, resource_manager, resource_manager, authority, studio, portal, vault)


#: The public cloud.
AZURE = _cloud(
    "AzureCloud",
    "https://management.azure.com",
    "https://login.microsoftonline.com",
    "https://ml.azure.com",
    "https://portal.azure.com",
    vault="https://vault.azure.net",
)

#: Azure's clouds by name, with the SDK's own addresses for them.
#: Source: azure-ai-ml, azure/ai/ml/_azure_environments.py; for key vaults what `az cloud show` prints.
CLOUDS: Mapping[str, Cloud] = {
    cloud.name: cloud
    for cloud in (
        AZURE,
        _cloud(
            "AzureChinaCloud",
            "https://management.chinacloudapi.cn",
            "https://login.chinacloudapi.cn",
            "https://ml.azure.cn",
            "https://portal.azure.cn",
            vault="https://vault.azure.cn",
        ),
        _cloud(
            "AzureUSGovernment",
            "https://management.usgovcloudapi.net",
            "https://login.microsoftonline.us",
            "https://ml.azure.us",
            "https://portal.azure.us",
            vault="https://vault.usgovcloudapi.net",
        ),
    )
}


def cloud_named(name: str) -> Cloud:
    """Return the cloud with a name, in upper or lower case.

    Raises:
        ValueError: If there is none. The message has the most similar name.
    """
    by_lower_name = {known.lower(): cloud for known, cloud in CLOUDS.items()}
    found = by_lower_name.get(name.lower())
    if found is None:
        (nearest,) = difflib.get_close_matches(name.lower(), by_lower_name, n=1, cutoff=0)
        raise ValueError(
            f"There is no Azure cloud named {name!r}. Did you mean `{by_lower_name[nearest].name}`? "
            f"Azure's clouds are {', '.join(f'`{known}`' for known in CLOUDS)}."
        )
    return found


def cloud_of(name: str | None, arm_endpoint: str | None, environ: Mapping[str, str] | None = None) -> Cloud:
    """Return the cloud selected by settings and environment.

    Args:
        name: Name of the cloud; None for the public one.
        arm_endpoint: URL of a custom Resource Manager endpoint; None for the one in the environment
            (AZUREML_DEV_URL_MFE), or else the cloud's own.
        environ: Environment variables; those of this process by default.

    Raises:
        ValueError: If the cloud is unknown, or the endpoint is not an `https` URL.
    """
    cloud = AZURE if name is None else cloud_named(name)
    endpoint = arm_endpoint or _endpoint_in(environ)
    return cloud.at(endpoint) if endpoint else cloud


def redirects(cloud: Cloud, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return redirects of URLs, so that a custom endpoint gets all requests for Resource Manager.

    Args:
        cloud: The cloud, with or without a custom endpoint.
        environ: Environment variables; those of this process by default.

    Returns:
        The custom endpoint by each address that the SDK may use; empty without a custom endpoint.
    """
    own = CLOUDS[cloud.name].resource_manager
    if cloud.resource_manager == own:
        return {}
    # The SDK starts at the endpoint in the environment, and follows the service's links to its own address.
    return {url: cloud.resource_manager for url in (own, _endpoint_in(environ)) if url}


def resource_manager_endpoint(environ: Mapping[str, str] | None = None) -> str:
    """Return the Resource Manager endpoint that the SDK uses unless settings select another one.

    Args:
        environ: Environment variables; those of this process by default.

    Returns:
        A URL without a slash at its end.
    """
    return (_endpoint_in(environ) or AZURE.resource_manager).rstrip("/")


def _endpoint_in(environ: Mapping[str, str] | None) -> str | None:
    variables = os.environ if environ is None else environ
    return variables.get(ENDPOINT_VARIABLE)


def is_loopback(url: str) -> bool:
    """True if the host of a URL is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
