"""An Azure ML workspace and the way to it: one cached client on one shared transport.

Thread-safe: everything that is made on first use is made under one lock, and the SDK's clients may be used
by any number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Workspace
from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    RetryPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from zenml_azureml.endpoint import PUBLIC_RESOURCE_MANAGER

#: Seconds between two looks at a long-running operation; the SDK's own default is 30.
OPERATION_POLLING_SECONDS = 1

#: Seconds to wait for a connection and for an answer; the SDK's own defaults are 300.
CONNECTION_TIMEOUT_SECONDS = 20
READ_TIMEOUT_SECONDS = 120

TOKEN_SCOPE = f"{PUBLIC_RESOURCE_MANAGER}/.default"

#: Login hosts that azure-identity knows to be Microsoft's. It refuses any other authority unless it is
#: told not to ask Microsoft about it. Source: azure-identity, AzureAuthorityHosts.
MICROSOFT_AUTHORITIES = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
    }
)


@dataclass(frozen=True)
class WorkspaceAddress:
    """Which workspace."""

    subscription_id: str
    resource_group: str
    name: str

    @property
    def path(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )


@dataclass(frozen=True)
class ServicePrincipal:
    """An application's own identity."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


def credential_for(principal: ServicePrincipal | None) -> TokenCredential:
    """The credential for a service principal, or the one that the environment offers.

    Args:
        principal: The service principal; None for `DefaultAzureCredential`: environment variables,
            workload and managed identity, the Azure CLI's login.

    Returns:
        A credential of azure-identity. Nothing is asked of the login server yet.
    """
    authority = os.environ.get("AZURE_AUTHORITY_HOST")
    foreign = bool(authority) and _host(str(authority)) not in MICROSOFT_AUTHORITIES
    if principal is None:
        return DefaultAzureCredential(disable_instance_discovery=foreign)
    return ClientSecretCredential(
        tenant_id=principal.tenant_id,
        client_id=principal.client_id,
        client_secret=principal.client_secret,
        disable_instance_discovery=foreign,
    )


def _host(authority: str) -> str:
    return urlsplit(authority if "//" in authority else f"https://{authority}").hostname or ""


class WorkspaceConnection:
    """The way to one workspace.

    Args:
        address: Which workspace.
        credential: Makes the credential when it is first needed.
    """

    def __init__(self, address: WorkspaceAddress, credential: Callable[[], TokenCredential]) -> None:
        self.address = address
        self._make_credential = credential
        self._lock = threading.RLock()

    @property
    def client(self) -> MLClient:
        """The SDK's client of the workspace."""
        with self._lock:
            return self._client

    def get_json(self, url: str) -> dict[str, Any]:
        """GET a service beside Resource Manager that takes the same token, such as run history.

        Args:
            url: The whole URL.

        Returns:
            The body, which is a JSON object.

        Raises:
            azure.core.exceptions.AzureError: If the service cannot be reached or answers with an error.
        """
        with self._lock:
            pipeline = self._services
        body: dict[str, Any] = _sent(pipeline, HttpRequest("GET", url)).json()
        return body

    def read_blob(self, url: str, offset: int) -> bytes:
        """Read a blob by its SAS URL, from an offset to its present end.

        Args:
            url: SAS URL, which is all the permission that is needed.
            offset: Bytes to leave out at the beginning.

        Returns:
            What there is beyond the offset; empty if there is nothing.

        Raises:
            azure.core.exceptions.AzureError: If the blob cannot be read.
        """
        with self._lock:
            pipeline = self._storage
        request = HttpRequest("GET", url, headers={"Range": f"bytes={offset}-"})
        response: HttpResponse = pipeline.send_request(request)
        if response.status_code == 416:  # nothing there yet beyond the offset
            return b""
        response.raise_for_status()
        content: bytes = response.content
        # A server may ignore the range and send everything.
        return content if response.status_code == 206 else content[offset:]

    @cached_property
    def run_history_url(self) -> str:
        """Where the workspace's run history is, without a slash at the end.

        Found as the SDK finds it: workspace, then its discovery URL, then the `api` service named there.
        """
        services = self.get_json(str(self._workspace.discovery_url))
        return f"{str(services['api']).rstrip('/')}/history/v1.0{self.address.path}"

    @property
    def location(self) -> str:
        """The workspace's region, e.g. `westeurope`. Costs a request where the workspace is not known yet."""
        return str(self._workspace.location)

    @cached_property
    def _workspace(self) -> Workspace:
        workspace: Workspace = self.client.workspaces.get(self.address.name)
        return workspace

    @cached_property
    def _credential(self) -> TokenCredential:
        return self._make_credential()

    @cached_property
    def _transport(self) -> RequestsTransport:
        transport = RequestsTransport(connection_timeout=CONNECTION_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS)
        transport.open()  # here, once: opening on first use is not thread-safe
        return transport

    @cached_property
    def _client(self) -> MLClient:
        with _cloud_variable_restored():
            return MLClient(
                credential=self._credential,
                subscription_id=self.address.subscription_id,
                resource_group_name=self.address.resource_group,
                workspace_name=self.address.name,
                # Without it, the client talks to the cloud of whichever client the process made last.
                cloud="AzureCloud",
                show_progress=False,
                enable_telemetry=False,
                transport=self._transport,
                polling_interval=OPERATION_POLLING_SECONDS,
            )

    @cached_property
    def _services(self) -> PipelineClient[HttpRequest, HttpResponse]:
        policies = [
            UserAgentPolicy(sdk_moniker="zenml-azureml"),
            RetryPolicy(),
            BearerTokenCredentialPolicy(self._credential, TOKEN_SCOPE),
        ]
        return PipelineClient("", policies=policies, transport=self._transport)

    @cached_property
    def _storage(self) -> PipelineClient[HttpRequest, HttpResponse]:
        # A SAS URL is all the permission that is needed: no token may go there.
        policies = [UserAgentPolicy(sdk_moniker="zenml-azureml"), RetryPolicy()]
        return PipelineClient("", policies=policies, transport=self._transport)


def _sent(pipeline: PipelineClient[HttpRequest, HttpResponse], request: HttpRequest) -> HttpResponse:
    response: HttpResponse = pipeline.send_request(request)
    response.raise_for_status()
    return response


_cloud_variable_lock = threading.Lock()


@contextmanager
def _cloud_variable_restored() -> Any:
    """Keep the SDK from leaving its cloud in the environment, where child processes inherit it.

    Source: azure-ai-ml, `MLClient.__init__` always writes AZUREML_CURRENT_CLOUD.
    """
    with _cloud_variable_lock:
        before = os.environ.get("AZUREML_CURRENT_CLOUD")
        try:
            yield
        finally:
            if before is None:
                os.environ.pop("AZUREML_CURRENT_CLOUD", None)
            else:
                os.environ["AZUREML_CURRENT_CLOUD"] = before
