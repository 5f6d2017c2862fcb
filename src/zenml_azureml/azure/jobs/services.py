"""The SSH service of a job: its state on one node, and the address of the tunnel to it.

Source of the form of the answers, of `ProxyEndpoint` and of the path below it: Microsoft's own client,
https://github.com/Azure/azure-dev/pull/7964 (job_connect_ssh.go, job_ssh_proxy.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.responses import AnswerError
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import safe_name, safe_text

#: Path of the websocket below the address of a node.
_WEBSOCKET: Final = "/nbip/v1.0/ws-tcp"

#: A service that has not started yet, for the answer of Azure.
_RUNNING: Final = "running"


def tunnel_url(connection: WorkspaceConnection, job: str, node: int) -> str:
    """Return the URL of the tunnel to the SSH server of a node.

    Args:
        connection: The workspace.
        job: Name of the job, which runs.
        node: Number of the node, from 0.

    Raises:
        AzureMLError: If there is none, with the reason and the next steps; or if Azure ML cannot be reached or refuses.
    """
    url = f"{connection.run_history_url}/runs/{quote(job, safe='')}/serviceinstances/{node}"
    try:
        with connection.reading():
            instances = connection.get_json(url).get("instances") or {}
            endpoint = endpoint_of(instances, job, node)
        connection.check_node(endpoint.replace("wss:", "https:", 1))
    except ResourceNotFoundError as error:
        raise AzureMLError(
            f"The Azure ML job `{job}` has no node {node}, or the node is not ready.",
            hint=f"Nodes are numbered from 0. To show the job: zenml-azureml jobs show {job}",
        ) from error
    except AzureError as error:
        raise to_azureml_error(f"find the services of the job `{job}`", error, connection.address) from error
    return f"{endpoint.rstrip('/')}{_WEBSOCKET}"


def endpoint_of(instances: Mapping[str, Any], job: str, node: int) -> str:
    """Return the address of the SSH service among the services of a node, with the scheme `wss`.

    Args:
        instances: The services by name, as run history answers them.
        job: Name of the job.
        node: Number of the node, from 0.

    Raises:
        AzureMLError: If there is no SSH service, or it does not run.
        AnswerError: If the service has no address.
    """
    name, found = next(
        ((name, one) for name, one in instances.items() if str(one.get("type")).lower() == "ssh"), ("", None)
    )
    if found is None:
        raise _no_service(instances, job, node)
    name, status = safe_name(name), safe_name(str(found.get("status")))
    if status.lower() != _RUNNING:
        message = ((found.get("error") or {}).get("error") or {}).get("message") or ""
        raise AzureMLError(
            f"The service `{name}` of the Azure ML job `{job}` is not running on node {node}: its status is "
            f"`{status}`.",
            azure_message=safe_text(str(message)),
            hint="A service can take two minutes longer to start than its job. Try again after that. To show the job: "
            f"zenml-azureml jobs show {job}",
        )
    endpoint = str((found.get("properties") or {}).get("ProxyEndpoint") or "")
    scheme = urlsplit(endpoint).scheme
    if scheme not in ("wss", "https"):
        raise AnswerError(f"The service `{name}` of the job `{job}` has no `ProxyEndpoint`.")
    return f"wss{endpoint[len(scheme) :]}"


def _no_service(instances: Mapping[str, Any], job: str, node: int) -> AzureMLError:
    others = ", ".join(f"`{safe_name(name)}` ({safe_name(str(one.get('type')))})" for name, one in instances.items())
    instead = f" It has {others}, which its page in Studio opens: zenml-azureml jobs open {job}" if others else ""
    if node > 0:
        return AzureMLError(
            f"The Azure ML job `{job}` has no SSH service on node {node}.",
            hint=f"A service runs on the first node, unless it is submitted with `nodes='all'`.{instead}",
        )
    return AzureMLError(
        f"The Azure ML job `{job}` has no SSH service.",
        hint="A job gets its services when it is submitted. For the next one: `services={'shell': {'type': 'ssh', "
        f"'ssh_public_keys': 'ssh-ed25519 AAAA...'}}}}`.{instead}",
    )
