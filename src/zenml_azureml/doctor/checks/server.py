"""Check that a job can reach ZenML's server."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from zenml_azureml.clouds import is_loopback
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning

CHECK = "ZenML server"

_HOW = (
    "Deploy a server that Azure reaches (https://docs.zenml.io/deploying-zenml), and log in to it: `zenml login URL`."
)


@dataclass(frozen=True)
class Server:
    """The ZenML server or the database of this client.

    Attributes:
        url: URL of the server, or of the database.
        is_database: True for a database without a server.
    """

    url: str
    is_database: bool


def check_server(facts: Server | Problem, *, jobs_run_here: bool) -> Finding:
    """Check that jobs can reach the server.

    Args:
        facts: The server.
        jobs_run_here: True if the workspace is emulated on this machine.
    """
    if isinstance(facts, Problem):
        return unknown(CHECK, facts)
    if facts.is_database:
        if jobs_run_here:
            return ok(CHECK, "A database on this machine; so are the jobs")
        return failed(
            CHECK, "There is no server: ZenML uses a database on this machine, which jobs cannot reach.", _HOW
        )
    if is_loopback(facts.url):
        if jobs_run_here:
            return ok(CHECK, f"{facts.url} is on this machine; so are the jobs")
        return failed(
            CHECK,
            f"The server's address is {facts.url}, which in a job is the job's own machine.",
            _HOW,
        )
    if not jobs_run_here and _is_private(facts.url):
        return warning(
            CHECK,
            f"{facts.url} is an address in a private network: only computes in that network can reach it.",
            "Run jobs on computes with a subnet of that network, or use a server with a public address.",
        )
    return ok(CHECK, f"{facts.url} answers, and is not on this machine")


def _is_private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))
