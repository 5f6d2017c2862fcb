"""The connection to an Azure ML workspace: cached clients on one shared transport.

Thread-safe: one lock guards the creation of clients on first use, and any number of threads may use the SDK's clients.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Workspace
from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest, HttpResponse

from zenml_azureml.azure.auth.refreshing_credential import RenewingCredential
from zenml_azureml.azure.hosts import Hosts
from zenml_azureml.azure.logs.blob_reader import BlobPart, read_blob
from zenml_azureml.azure.pipelines import Policies, get_object
from zenml_azureml.azure.rate_limiter import pacer_for
from zenml_azureml.azure.responses import (
    AnswerError,
    Answers,
    LastAnswer,
    address_of,
    pages_of,
    understood,
)
from zenml_azureml.azure.sdk.checked_client import checked, items_of
from zenml_azureml.azure.sdk.current_cloud import CURRENT_CLOUD
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.clouds import Cloud, cloud_of, redirects

#: Seconds between two polls of a long-running operation; the SDK's own default is 30.
OPERATION_POLLING_SECONDS = 1


def _cloud_in_environment() -> Cloud:
    return cloud_of(None, None)


@dataclass(frozen=True)
class WorkspaceAddress:
    """The address of a workspace.

    Attributes:
        subscription_id: Its Azure subscription.
        resource_group: Its resource group.
        name: Its name.
        cloud: Its cloud; by default the public one, at the endpoint from the environment.
    """

    subscription_id: str
    resource_group: str
    name: str
    cloud: Cloud = field(default_factory=_cloud_in_environment)

    @property
    def path(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )


class WorkspaceConnection:
    """The connection to one workspace.

    Args:
        address: The workspace.
        credential: Makes the credential when it is first needed. It is renewed if Azure refuses it, for all users of
            the connection; see `RenewingCredential`.
        transport: Carries all requests, and waits between them; None for the default one.
        time: Source of time.
        endpoints: The address to use instead, for each address that must not be used; by default those of the
            cloud's custom endpoint. See `EndpointPolicy`.
    """

    def __init__(
        self,
        address: WorkspaceAddress,
        credential: Callable[[], TokenCredential],
        transport: HttpTransport[Any, Any] | None = None,
        time: Time = SYSTEM_TIME,
        endpoints: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address
        self.transport = transport or WorkspaceTransport(sleeper=time.sleep)
        endpoints = redirects(address.cloud) if endpoints is None else endpoints
        self._hosts = Hosts(address.cloud, tuple(url for pair in endpoints.items() for url in pair))
        pacer = pacer_for(address.cloud.resource_manager, address.subscription_id, time)
        self._make_credential = credential
        self._time = time
        self._lock = threading.RLock()
        self._answers = Answers()
        #: The policies of its pipelines.
        self.policies = Policies(lambda: self.credential, self._answers, pacer, endpoints)

    @property
    def cloud(self) -> Cloud:
        """The cloud that the workspace is in."""
        return self.address.cloud

    @property
    def client(self) -> MLClient:
        """The SDK's client of the workspace, with the SDK's retries."""
        with self._lock:
            return self._client

    @property
    def one_try_client(self) -> MLClient:
        """The SDK's client of the workspace without retries, for callers that retry themselves.

        The SDK's own retries would block the thread for the time of a Retry-After header, which may be an hour.
        """
        with self._lock:
            return self._one_try_client

    def current_cloud(self) -> AbstractContextManager[None]:
        """Make this workspace's cloud the SDK's current one, for the duration of a `with`.

        Needed around a submit with the user's own identity: the SDK sends a token of Azure ML with it, and refuses one
        of another cloud than the current.
        Source: azure-ai-ml, `JobOperations._set_headers_with_user_aml_token`.
        """
        return CURRENT_CLOUD.set_to(self.cloud.name)

    @property
    def credential(self) -> RenewingCredential:
        """The credential of all requests to the workspace."""
        with self._lock:
            return self._credential

    def get_json(self, url: str) -> dict[str, Any]:
        """Send one GET to Resource Manager, or to a service that takes the same token, such as run history.

        Args:
            url: The whole URL.

        Returns:
            The body, which is a JSON object.

        Raises:
            azure.core.exceptions.AzureError: If the service cannot be reached or answers with an error, or with
                anything but a JSON object.
        """
        with self._lock:
            pipeline = self._services
        return get_object(pipeline, url)

    def get_pages(self, url: str) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a list, each with one GET as in `get_json`. The list is finite; see `responses.pages_of`.

        Args:
            url: The first page.
        """
        return pages_of(self.get_json, url)

    def check_vault(self, url: str) -> None:
        """Check that a token for key vaults may go to a URL. See `Hosts.check_vault`."""
        self._hosts.check_vault(url)

    def check_node(self, url: str) -> None:
        """Check that a token for Resource Manager may go to a node of a job. See `Hosts.check_node`."""
        self._hosts.check_node(url)

    def items(self, listed: Any) -> Iterator[Any]:
        """Yield the items of a list of one of Azure's clients, which is finite. See `checked_client.items_of`."""
        return items_of(listed, self._begin)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Convert all errors of reading answers to one kind, with the address, for the duration of a `with`.

        Raises:
            AnswerError: If an answer cannot be read.
        """
        with understood(self._begin()):
            yield

    def read_blob(self, url: str, offset: int, most_bytes: int) -> BlobPart | None:
        """Read a part of a blob by its SAS URL. See `blob_reader.read_blob` for arguments, result and errors."""
        with self._lock:
            pipeline = self._storage
        self._hosts.check_blob(url)
        return read_blob(pipeline, url, offset, most_bytes)

    @property
    def run_history_url(self) -> str:
        """The address of the workspace's run history, without a slash at the end."""
        return f"{self._api_url}/history/v1.0{self.address.path}"

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow's API of the workspace, without a slash at the end.

        Source of the path: azureml-mlflow, for MLflow 2 and 3.
        """
        return f"{self._api_url}/mlflow/v2.0{self.address.path}/api/2.0/mlflow"

    @cached_property
    def _api_url(self) -> str:
        # Found as the SDK finds it: workspace, then its discovery URL, then the `api` service named there.
        discovery = self._workspace.discovery_url
        if not isinstance(discovery, str):
            raise AnswerError(f"The workspace {self.address.path} has no `discoveryUrl`.")
        api = self.get_json(discovery).get("api")
        if not isinstance(api, str):
            raise AnswerError(f"{address_of(discovery)} has no address of the service `api`.")
        self._hosts.check_token(api)
        return api.rstrip("/")

    @property
    def location(self) -> str:
        """The workspace's region, e.g. `westeurope`. Costs a request if the workspace is not known yet."""
        return str(self._workspace.location)

    @property
    def key_vault_id(self) -> str:
        """ARM id of the workspace's own key vault; empty if it has none. Costs as much as `location`."""
        return str(self._workspace.key_vault or "")

    @cached_property
    def _workspace(self) -> Workspace:
        workspace: Workspace = self.client.workspaces.get(self.address.name)
        return workspace

    @cached_property
    def _credential(self) -> RenewingCredential:
        return RenewingCredential(self._make_credential, self.cloud, self._time)

    @cached_property
    def _client(self) -> MLClient:
        return self._new_client()

    @cached_property
    def _one_try_client(self) -> MLClient:
        return self._new_client(retry_total=0)

    def _new_client(self, **options: Any) -> MLClient:
        with self.current_cloud():
            client = MLClient(
                credential=self._credential,
                subscription_id=self.address.subscription_id,
                resource_group_name=self.address.resource_group,
                workspace_name=self.address.name,
                # Without it, the client uses the cloud of the last client that the process made.
                cloud=self.cloud.name,
                show_progress=False,
                enable_telemetry=False,
                transport=self.transport,
                polling_interval=OPERATION_POLLING_SECONDS,
                per_retry_policies=self.policies.before_sign_in(self._hosts.check_token),
                custom_hook_policy=self.policies.after_sign_in(self._hosts.check_token),
                **options,
            )
        return checked(client, self._begin)

    def _begin(self) -> LastAnswer:
        """Return a record of the next answers on this thread."""
        return LastAnswer(self._answers)

    @cached_property
    def _services(self) -> PipelineClient[HttpRequest, HttpResponse]:
        policies = self.policies.with_tokens(self._credential, self.cloud.token_scope, self._hosts.check_token)
        return PipelineClient("", policies=policies, transport=self.transport)

    @cached_property
    def _storage(self) -> PipelineClient[HttpRequest, HttpResponse]:
        # A SAS URL contains the permission: no token may go there.
        return PipelineClient("", policies=self.policies.without_tokens(), transport=self.transport)


def _renew_in_child() -> None:
    # Until Python 3.11, one lock of each cached property serves all objects, and a thread of the parent may hold it.
    for found in vars(WorkspaceConnection).values():
        if isinstance(found, cached_property) and hasattr(found, "lock"):
            found.lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_in_child)
