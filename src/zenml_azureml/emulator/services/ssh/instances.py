"""State of a job's services on one node, as run history answers it.

Nothing of it was recorded. The form of the answer, and that `ProxyEndpoint` is the address of the tunnel of an SSH
service, are in Microsoft's own client: https://github.com/Azure/azure-dev/pull/7964 (job_show_services_test.go).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from zenml_azureml.emulator.types import Json

if TYPE_CHECKING:
    from zenml_azureml.emulator.resources import Job

#: `jobServiceType` of an SSH service.
SSH = "SSH"

#: Begins the paths of the tunnels; on Azure each node has a host of its own.
TUNNELS = "/nodes/v1.0"

_NO_SERVER = "The emulator needs asyncssh for SSH: pip install 'zenml-azureml[emulator]'"
_NO_PLACE = "The emulator has no place for a shell: the job is simulated, or the `docker` command is not installed."


def services_on(job: Job, node: int) -> Json:
    """Return the services of a job that run on a node, as the job has them, by their names.

    Args:
        job: The job.
        node: Number of the node, from 0.
    """
    asked = {name: one for name, one in job.properties["services"].items() if name not in ("Tracking", "Studio")}
    return {name: one for name, one in asked.items() if node == 0 or (one.get("nodes") or {}).get("nodesValueType")}


def keys_of(job: Job, node: int) -> str | None:
    """Return the public keys that may log in to a node, one a line; None if it has no SSH service.

    Args:
        job: The job.
        node: Number of the node, from 0.
    """
    for service in services_on(job, node).values():
        if service["jobServiceType"] == SSH:
            return str((service["properties"] or {}).get("sshPublicKeys") or "")
    return None


def instance(service: Json, job: Job, node: int, address: str) -> Json:
    """Return the state of a service on a node.

    Guess: all of it. Other services than SSH (JupyterLab, TensorBoard, VS Code) are not started here.

    Args:
        service: The service, as the job has it.
        job: The job.
        node: Number of the node, from 0.
        address: Where the emulator's tunnels to nodes of the workspace's jobs begin.
    """
    status, error, properties = "Stopped" if job.is_terminal else "NotStarted", None, service["properties"]
    if service["jobServiceType"] == SSH and job.running is not None:
        error = _problem(job, node)
        status = "Failed" if error else "Running"
        if not error:
            properties = {**(properties or {}), "ProxyEndpoint": f"{address}/{job.name}/{node}"}
    return {
        "type": service["jobServiceType"],
        "port": service["port"],
        "status": status,
        "error": {"error": {"code": None, "message": error}} if error else None,
        "endpoint": service["endpoint"],
        "properties": properties,
    }


def _problem(job: Job, node: int) -> str | None:
    if find_spec("asyncssh") is None:
        return _NO_SERVER
    if job.running is None or job.running.shell(node) is None:
        return _NO_PLACE
    from zenml_azureml.emulator.services.ssh.server import keys_problem

    return keys_problem(keys_of(job, node) or "")
