"""The hosts that requests of a workspace may go to: those of its cloud, and those that the user has configured."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from azure.core.exceptions import ClientAuthenticationError

from zenml_azureml.clouds import CLOUDS, Cloud


class ForeignHostError(ClientAuthenticationError):
    """An answer names a host outside of the configured cloud; no request, and so no token, was sent there.

    It is a `ClientAuthenticationError` because azure-core retries after any other error.
    """


#: A name, or an address of version 4 or 6.
_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")


@dataclass(frozen=True)
class _Hosts:
    """The hosts of one cloud, without Resource Manager.

    Attributes:
        services: Suffixes of the hosts of Azure ML's own services. Not `.azureml.ms`: services that users run on their
            computes have hosts below that.
        blobs: Suffixes of the hosts of storage accounts.
        nodes: Suffixes of the hosts of the nodes of jobs.
    """

    services: tuple[str, ...]
    blobs: tuple[str, ...]
    nodes: tuple[str, ...] = ()


#: Source: Microsoft's "Configure inbound and outbound network traffic" for Azure ML, which lists the hosts of each
#: cloud; recorded: discovery_get.json. For storage `az cloud show`, and "Azure DNS zone endpoints".
#: For nodes: Azure/azure-dev, job_ssh_proxy_test.go. Those of the other clouds are not known: there is no tunnel.
# Guess: that run history of the other clouds is below the same suffix as their private endpoints.
_HOSTS = {
    "AzureCloud": _Hosts(
        (".api.azureml.ms", ".experiments.azureml.net"),
        (".blob.core.windows.net", ".blob.storage.azure.net"),
        (".nodes.azureml.ms",),
    ),
    "AzureChinaCloud": _Hosts((".api.ml.azure.cn", ".experiments.ml.azure.cn"), (".blob.core.chinacloudapi.cn",)),
    "AzureUSGovernment": _Hosts((".api.ml.azure.us", ".experiments.ml.azure.us"), (".blob.core.usgovcloudapi.net",)),
}


@dataclass(frozen=True)
class Hosts:
    """Rules for the hosts that requests of a workspace may go to.

    An endpoint of the user's own (`arm_endpoint`, AZUREML_DEV_URL_MFE) may refer to its own address for all services.
    For key vaults and storage, which have other hosts in Azure too, it may use other ports of its host.

    Args:
        cloud: The workspace's cloud.
        configured: Further URLs that the user has configured: sources and targets of redirected requests.
    """

    cloud: Cloud
    configured: tuple[str, ...] = ()

    def check_token(self, url: str) -> None:
        """Check that a token for Resource Manager and Azure ML may go to a URL.

        Raises:
            ForeignHostError: If it must not.
        """
        self._check(url, _HOSTS[self.cloud.name].services, self._own_origins(), "is sent no token")

    def check_node(self, url: str) -> None:
        """Check that a token for Resource Manager may go to the SSH service of a job's node.

        Azure answers for hosts that begin with `ssh-`. Services that users run have other hosts below the same suffix.

        Raises:
            ForeignHostError: If it must not.
        """
        with suppress(ValueError):
            if _origin(url)[0].startswith("ssh-"):
                return self._check(url, _HOSTS[self.cloud.name].nodes, self._own_origins(), "is sent no token")
        return self._check(url, (), self._own_origins(), "is sent no token")

    def check_vault(self, url: str) -> None:
        """Check that a token for key vaults may go to a URL.

        Raises:
            ForeignHostError: If it must not.
        """
        self._check(url, (self.cloud.vault_suffix,), self._own_host(url), "is sent no token for key vaults")

    def check_blob(self, url: str) -> None:
        """Check that a log may be read from a URL, which takes no token.

        Raises:
            ForeignHostError: If it must not.
        """
        self._check(url, _HOSTS[self.cloud.name].blobs, self._own_host(url), "is not asked for logs")

    def _own_host(self, url: str) -> set[tuple[str, int]]:
        """Return the origin of a URL, if it is the host of an endpoint of the user's own, at any port."""
        with suppress(ValueError):
            if _origin(url)[0] in {host for host, _ in map(_origin, self._endpoints())}:
                return {_origin(url)}
        return set()

    def _own_origins(self) -> set[tuple[str, int]]:
        return {_origin(url) for url in (CLOUDS[self.cloud.name].resource_manager, *self._endpoints())}

    def _endpoints(self) -> Iterable[str]:
        own = CLOUDS[self.cloud.name].resource_manager
        return [url for url in (self.cloud.resource_manager, *self.configured) if url != own]

    def _check(self, url: str, suffixes: tuple[str, ...], origins: set[tuple[str, int]], what: str) -> None:
        parts = urlsplit("")
        try:
            parts = urlsplit(url)
            host, port = _origin(url)
            plain = parts.username is None and parts.password is None
        except ValueError:  # no port, or a bracket too many
            host, port, plain = "", 0, False
        known = (host, port) in origins or (port == 443 and host.endswith(suffixes))
        # The code that sends the request must find the same host in the URL: other parsers end it at a backslash.
        if known and plain and parts.scheme == "https" and _HOST.fullmatch(host) and url.isprintable():
            return
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if host else "an address that cannot be read"
        raise ForeignHostError(
            f"Azure's answer leads to {shown}, which {what}: it is not a host of {self.cloud.name}, nor of the "
            "configured endpoint."
        )


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    # A dot at the end names the same host.
    return (parts.hostname or "").rstrip("."), parts.port or 443
