"""Credentials of azure-identity that sign in where a cloud has its identities, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.pipeline.transport import HttpTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from zenml_azureml.endpoint import AZURE, Cloud


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


class OwnCloudCredential:
    """A credential that is never asked for a token of another cloud.

    Some of the SDK's calls take their scope from the cloud in AZUREML_CURRENT_CLOUD, not from their client: with
    every job that it submits or gets, it asks for a token of Resource Manager to add the tenant to the Studio URL.
    Source: azure-ai-ml, `JobOperations._append_tid_to_studio_url`.

    Args:
        credential: Makes the tokens.
        cloud: The cloud that they are for.
    """

    def __init__(self, credential: TokenCredential, cloud: Cloud) -> None:
        self._credential = credential
        self._cloud = cloud

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for these scopes, each as it is called in this cloud.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If the credential cannot get one.
        """
        return self._credential.get_token(*(self._cloud.own_scope(scope) for scope in scopes), **options)
