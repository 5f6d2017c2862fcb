"""The emulator, in a process of its own, with simulated jobs; and what the benchmarks ask of it."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
import uuid
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: The workspaces. Each is in a subscription of its own, so that no measurement uses up the request limits of another.
WORKSPACES = (
    *("submit-ours", "submit-builtin", "notice-ours", "notice-builtin", "cancel", "logs", "memory", "speed"),
    *("dynamic-ours", "dynamic-builtin", "poll-ours", "poll-builtin", "kept"),
    *(f"watch-{kind}-{number}" for kind in ("ours", "builtin") for number in (1, 10, 100, 1000)),
)


def subscription_of(workspace: str) -> str:
    """The subscription that a workspace is in."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, workspace))


class EmulatorProcess:
    """A running emulator.

    Args:
        folder: Its state folder.

    Attributes:
        variables: The environment of clients that are led to it.
    """

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.emulator_process", str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.variables: dict[str, str] = self._answer()
        self._key = self.variables.pop("ZENML_AZUREML_EMULATOR_KEY")
        self._tls = ssl.create_default_context(cafile=self.variables["REQUESTS_CA_BUNDLE"])

    def seed(self, workspace: str, *, prefix: str, number: int, status: str, tag: str) -> None:
        """Have jobs that were made long ago, or run since then."""
        self._ask(do="seed", workspace=workspace, prefix=prefix, number=number, status=status, tag=tag)

    def ends(self, workspace: str) -> dict[str, float]:
        """When each job ended that has, in seconds of the machine's clock."""
        found: dict[str, float] = self._ask(do="ends", workspace=workspace)
        return found

    def requests(self, workspace: str) -> list[dict[str, Any]]:
        """Every request to Resource Manager and run history for a workspace, oldest first."""
        found = self.call("GET", "/_emulator/requests")
        return [entry for entry in found if f"/workspaces/{workspace}/" in f"{entry['path']}/"]

    def set(self, **settings: float | bool) -> None:
        """Change settings of the emulator."""
        self.call("POST", "/_emulator/settings", settings)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask the emulator's own interface."""
        netloc = urlsplit(self.variables["AZUREML_DEV_URL_MFE"]).netloc
        connection = HTTPSConnection(netloc, context=self._tls, timeout=60)
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        return float(self._ask(do="cpu"))

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _ask(self, **command: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The emulator has ended.")
        return json.loads(line)


async def _serve(folder: Path) -> None:
    from zenml_azureml.emulator import Emulator, WorkspaceName
    from zenml_azureml.emulator.clock import SystemClock
    from zenml_azureml.emulator.context import Settings
    from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

    settings, clock = Settings(), SystemClock()
    names = [WorkspaceName(subscription_of(name), "bench", name) for name in WORKSPACES]
    emulator = Emulator(folder, workspaces=names, runtime=SimulatedRuntime(clock, settings), settings=settings)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with emulator.serve():
        _print(
            {
                "AZUREML_DEV_URL_MFE": emulator.base_url,
                "AZURE_AUTHORITY_HOST": emulator.base_url,
                "AZURE_TENANT_ID": emulator.tenant_id,
                "AZURE_CLIENT_ID": emulator.client_id,
                "AZURE_FEDERATED_TOKEN_FILE": str(emulator.federated_token_file),
                "REQUESTS_CA_BUNDLE": str(emulator.ca_bundle),
                "NO_PROXY": "127.0.0.1",
                "ZENML_AZUREML_EMULATOR_KEY": emulator.context.keys.admin,
            }
        )
        while line := await reader.readline():
            command = json.loads(line)
            _print(_do(emulator, command.pop("do"), **command))


def _do(emulator: Any, what: str, workspace: str = "", **options: Any) -> object:
    if what == "cpu":
        return time.process_time()
    place = next(found for found in emulator.context.store.workspaces if found.name == workspace)
    if what == "ends":
        return {job.name: job.ended_at.timestamp() for job in place.jobs.values() if job.ended_at is not None}
    _seed(emulator.context, place, **options)
    return None


def _seed(context: Any, workspace: Any, *, prefix: str, number: int, status: str, tag: str) -> None:
    """Put in jobs as they are after a PUT, without the life that would follow."""
    from zenml_azureml.emulator.resources import Job
    from zenml_azureml.emulator.services.aml.job_views import complete

    sent = {
        "command": "python -m zenml.entrypoints.entrypoint",
        "environmentId": "azureml:seeded:1",
        "experimentName": "bench",
        "tags": {tag: "", "zenml_pipeline": "bench", "zenml_step_run_id": str(uuid.uuid4())},
    }
    now = context.clock.now()
    for index in range(number):
        name = f"{prefix}{index}"
        job = Job(name, complete(sent, name, workspace), now, context.folder / "jobs" / name, status, started_at=now)
        job.ended_at = now if job.is_terminal else None
        workspace.add(job)


def seed(folder: Path, number: int) -> None:
    """Leave the state of so many finished jobs in a folder, for an emulator that starts there."""
    from zenml_azureml.emulator import Emulator

    emulator = Emulator(folder, keep_state=True)
    (place,) = emulator.context.store.workspaces
    _seed(emulator.context, place, prefix="finished-", number=number, status="Completed", tag="old")
    emulator.close()


def _print(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
