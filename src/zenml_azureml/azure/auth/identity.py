"""Credentials of azure-identity that sign in at a cloud's own login server, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import HttpTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from zenml_azureml.clouds import AZURE, Cloud


@dataclass(frozen=True)
class ServicePrincipal:
    """A service principal: the identity of an application."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


def credential_for(
    principal: ServicePrincipal | None, cloud: Cloud, transport: HttpTransport[Any, Any] | None = None
) -> TokenCredential:
    """Return the credential for a service principal, or the one that the environment offers.

    Args:
        principal: The service principal; None for `DefaultAzureCredential`: environment variables,
            workload and managed identity, the Azure CLI's login.
        cloud: The cloud to sign in to, unless AZURE_AUTHORITY_HOST is set in the environment.
        transport: Carries its requests; None for its own transport.

    Returns:
        A credential of azure-identity. No request is sent to the login server yet.
    """
    authority = os.environ.get("AZURE_AUTHORITY_HOST") or cloud.authority
    options: dict[str, Any] = {
        "authority": authority,
        # With instance discovery, the public cloud's login server confirms an authority. It only knows Microsoft's
        # authorities, and the separate clouds must not depend on a request to it.
        "disable_instance_discovery": _host(authority) != _host(AZURE.authority),
    }
    if transport is not None:
        options["transport"] = transport
    if principal is None:
        return DefaultAzureCredential(**options)
    return ClientSecretCredential(principal.tenant_id, principal.client_id, principal.client_secret, **options)


def _host(authority: str) -> str:
    return urlsplit(authority if "//" in authority else f"https://{authority}").hostname or ""
