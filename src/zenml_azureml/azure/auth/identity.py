"""Credentials of azure-identity that sign in where a cloud has its identities, and nowhere else."""

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
    """An application's own identity."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


def credential_for(
    principal: ServicePrincipal | None, cloud: Cloud, transport: HttpTransport[Any, Any] | None = None
) -> TokenCredential:
    """The credential for a service principal, or the one that the environment offers.

    Args:
        principal: The service principal; None for `DefaultAzureCredential`: environment variables,
            workload and managed identity, the Azure CLI's login.
        cloud: Where it signs in, unless AZURE_AUTHORITY_HOST in the environment says otherwise.
        transport: What carries its requests; None for one of its own.

    Returns:
        A credential of azure-identity. Nothing is asked of the login server yet.
    """
    authority = os.environ.get("AZURE_AUTHORITY_HOST") or cloud.authority
    options: dict[str, Any] = {
        "authority": authority,
        # By instance discovery the public cloud's login server vouches for an authority. It knows no authority
        # but Microsoft's, and the clouds that are kept apart from it must do without a request to it.
        "disable_instance_discovery": _host(authority) != _host(AZURE.authority),
    }
    if transport is not None:
        options["transport"] = transport
    if principal is None:
        return DefaultAzureCredential(**options)
    return ClientSecretCredential(principal.tenant_id, principal.client_id, principal.client_secret, **options)


def _host(authority: str) -> str:
    return urlsplit(authority if "//" in authority else f"https://{authority}").hostname or ""
