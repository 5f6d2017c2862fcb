"""An emulator as users start it: a process of its own, whose state lasts."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.client import Client
from zenml_azureml.emulator.local import daemon, shell_env
from zenml_azureml.emulator.local.instance import Options, Running
from zenml_azureml.emulator.local.keys import stored_keys


@dataclass(frozen=True)
class Lasting:
    """A running emulator.

    Attributes:
        running: The emulator as its state folder describes it.
        client: A client of its workspace, in which the environment `bench` exists.
    """

    running: Running
    client: Client

    def memory(self) -> int:
        """Bytes of memory that its process has."""
        return int(psutil.Process(self.running.pid).memory_info().rss)

    def submit(self, name: str, command: str, compute: str | None = None, client: Client | None = None) -> None:
        """Submit a command job."""
        used = client or self.client
        job: dict[str, Any] = {"jobType": "Command", "command": command, "environmentId": "azureml:bench:1"}
        if compute is not None:
            job["computeId"] = f"{used.workspace}/computes/{compute}"
        used.put(f"{used.workspace}/jobs/{name}", job)

    def status(self, name: str) -> str:
        """The state of a job."""
        found = json.loads(self.client.get(f"{self.client.workspace}/jobs/{name}"))
        return str(found["properties"]["status"])

    def states(self) -> dict[str, int]:
        """The number of jobs in each state."""
        states: dict[str, int] = ask(self.running, "GET", "/_emulator/status")["jobs"]
        return states


@contextmanager
def lasting(folder: Path, **options: Any) -> Iterator[Lasting]:
    """Run an emulator that takes no time of its own for the preparation of jobs and computes."""
    running = daemon.start(folder, Options(**options))
    try:
        quick = {"job_preparation": 0, "job_finalization": 0, "compute_provisioning": 0, "rate_limits": False}
        ask(running, "POST", "/_emulator/settings", quick)
        client = client_of(running)
        client.put(f"{client.workspace}/environments/bench/versions/1", {"image": "ubuntu"})
        yield Lasting(running, client)
    finally:
        daemon.stop(folder)


def client_of(running: Running) -> Client:
    """A client of the workspace of a running emulator."""
    variables = shell_env.variables(running, running.ca_bundle, {})
    options = running.options
    return Client(variables, options.subscription_id, options.resource_group, options.workspace_name)


def ask(running: Running, method: str, path: str, body: object = None) -> Any:
    """Ask the emulator's own interface."""
    tls = ssl.create_default_context(cafile=str(running.ca_file))
    connection = HTTPSConnection(urlsplit(running.local_url).netloc, context=tls, timeout=60)
    headers = {**stored_keys(running.state).admin_headers, "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    text = connection.getresponse().read()
    connection.close()
    return json.loads(text)


def wait_until(condition: Callable[[], bool], seconds: float = 600, pause: float = 0.01) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: If it does not come true.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"It took more than {seconds:g} s.")
        time.sleep(pause)
