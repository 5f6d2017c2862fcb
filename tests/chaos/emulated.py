"""An emulator in a process of its own, and what the suite asks of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import time
import traceback
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.chaos.catalogue import FAULTS, FOR_EVER, PHASES, VAULT_CLUSTER
from tests.chaos.scaled_time import ScaledClock
from tests.chaos.schedule import Part, PlannedFault
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process import ProcessRuntime
from zenml_azureml.emulator.runtimes.simulated import SimulatedRuntime


@dataclass(frozen=True)
class Address:
    """Where an emulator is, and how to sign in."""

    url: str
    ca_file: str
    tenant_id: str
    client_id: str
    token_file: str
    key: str

    def variables(self) -> dict[str, str]:
        """The environment of clients that are led to it."""
        return {
            "AZUREML_DEV_URL_MFE": self.url,
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_FEDERATED_TOKEN_FILE": self.token_file,
            "REQUESTS_CA_BUNDLE": self.ca_file,
            "NO_PROXY": "127.0.0.1",
        }


class EmulatorProcess:
    """An emulator that was forked from this process, and ends with it.

    To be made before there are threads.

    Args:
        folder: Its state folder.
        part: What its jobs are.
        factor: How many times as fast as the machine's its time is.

    Attributes:
        address: Where it is.
    """

    def __init__(self, folder: Path, part: Part, factor: float) -> None:
        reading, ready = os.pipe()
        parent_lives, self._alive = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(reading)
            os.close(self._alive)
            try:
                asyncio.run(_serve(folder, part, factor, ready, parent_lives))
            except BaseException:  # noqa: BLE001 - as the interpreter, whatever it is
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(ready)
        os.close(parent_lives)
        with os.fdopen(reading) as pipe:
            self.address = Address(**json.loads(pipe.readline()))

    def close(self) -> None:
        """End it."""
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._alive)


async def _serve(folder: Path, part: Part, factor: float, ready: int, parent_lives: int) -> None:
    clock, settings = ScaledClock(factor), Settings(compute_provisioning=2, job_preparation=0.5, job_finalization=1)
    runtime = SimulatedRuntime(clock, settings) if part == "simulated" else ProcessRuntime(grace=1)
    emulator = Emulator(folder, runtime=runtime, clock=clock, settings=settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(parent_lives, stop.set)  # nobody writes to it: what can be read is its end
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl+C at the terminal is the suite's
    async with emulator.serve():
        address = Address(
            emulator.base_url,
            str(emulator.ca_file),
            emulator.tenant_id,
            emulator.client_id,
            str(emulator.federated_token_file),
            emulator.context.keys.admin,
        )
        os.write(ready, (json.dumps(vars(address)) + "\n").encode())
        os.close(ready)
        await stop.wait()


#: How often somebody in Studio tries to cancel a job.
_CLICKS = 4

#: Seconds, of this machine's, in which a job begins to run.
_RUNS_WITHIN = 2.0


class Admin:
    """The emulator's own interface, and a second client of the workspace: who clicks in Studio."""

    def __init__(self, address: Address) -> None:
        self._address = address
        tls = ssl.create_default_context(cafile=address.ca_file)
        self._connection = HTTPSConnection(urlsplit(address.url).netloc, context=tls, timeout=30)
        self._token = self._sign_in()

    def reset(self) -> None:
        self._call("POST", "/_emulator/reset")

    def arm(self, planned: PlannedFault) -> None:
        """Have a fault happen."""
        phase, answer = PHASES[planned.phase], FAULTS[planned.fault].answer
        if answer is not None:
            where = {"method": phase.method, "path": phase.path, "after": planned.after, "times": planned.times}
            self._call("POST", "/_emulator/faults", {**where, **answer})

    def disarm(self) -> list[int]:
        """How often each of the armed faults has happened; none does from now on."""
        faults = self._call("GET", "/_emulator/faults")
        self._call("DELETE", "/_emulator/faults")
        return [int(fault["fired"]) for fault in faults]

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", "/_emulator/jobs")
        return found

    def open_vault(self, workspace_path: str) -> None:
        """Make a cluster whose jobs may read the key vault, and let the operator write there."""
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "computeType": "AmlCompute",
                "properties": {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 9}},
            },
        }
        path = f"{workspace_path}/computes/{VAULT_CLUSTER}?api-version=2024-04-01"
        self._call("PUT", path, body, headers={"Authorization": f"Bearer {self._token}"})
        self._call("POST", "/_emulator/vault-access", {"computes": [VAULT_CLUSTER]})

    def secrets(self) -> list[str]:
        """Names of the secrets that are in the key vault."""
        vaults: list[dict[str, Any]] = self._call("GET", "/_emulator/vaults")
        return [name for vault in vaults for name in vault["secrets"]]

    def definitions(self, workspace_path: str) -> str:
        """All that the definitions of the jobs have in them."""
        found, path = "", f"{workspace_path}/jobs?api-version=2024-04-01&listViewType=All"
        while path:
            page = self._call("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            found += json.dumps(page["value"])
            path = page.get("nextLink", "").removeprefix(self._address.url)
        return found

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", "/_emulator/requests")
        return found

    def cancel_all_jobs(self, workspace_path: str) -> None:
        """Cancel what runs, as somebody does in Studio, who clicks again where the planned faults meet them."""
        for job in self.jobs():
            path = f"{workspace_path}/jobs/{job['name']}/cancel?api-version=2024-04-01"
            for _ in range(_CLICKS):
                try:
                    self._call("POST", path, headers={"Authorization": f"Bearer {self._token}"})
                    break
                except (OSError, HTTPException, RuntimeError):
                    self._connection.close()

    def let_wait(self) -> None:
        """Have no node be free for the next job."""
        self._call("POST", "/_emulator/scenario", {"name": "never-started"})

    def evict_all_jobs(self) -> None:
        """Take the nodes of the jobs that run away, as Azure does with spot capacity."""
        self._call("POST", "/_emulator/scenario", {"name": "preempted", "now": True, "times": FOR_EVER})

    def kill_rank(self, rank: int) -> str:
        """Kill a process of the first job that runs, or is about to; the job's name, or nothing where none does."""
        deadline = time.monotonic() + _RUNS_WITHIN
        while time.monotonic() < deadline:
            jobs = [job for job in self.jobs() if job["ended"] is None]
            if not jobs:
                break
            for job in jobs:
                name = str(job["name"])
                # It is refused where nothing of the job runs, as yet or any more.
                with contextlib.suppress(RuntimeError):
                    self._call("POST", f"/_emulator/jobs/{name}/kill", {"rank": rank})
                    return name
            time.sleep(0.005)
        return ""

    def _sign_in(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._address.client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": Path(self._address.token_file).read_text(),
            "scope": "https://management.azure.com/.default",
        }
        path = f"/{self._address.tenant_id}/oauth2/v2.0/token"
        self._connection.request("POST", path, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        return str(json.loads(self._connection.getresponse().read())["access_token"])

    def _call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body)
        own = {"Content-Type": "application/json", "Authorization": f"Bearer {self._address.key}"}
        self._connection.request(method, path, data, {**own, **(headers or {})})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None
