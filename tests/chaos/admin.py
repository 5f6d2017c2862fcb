"""What the suite asks of an emulator: its own interface, and that of a second client of the workspace."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPException, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic import TypeAdapter

from tests.chaos.catalogue import DATA_ASSET, DATA_INPUT, FAULTS, VAULT_CLUSTER
from tests.chaos.emulated import Address
from tests.chaos.schedule import PlannedFault
from tests.chaos.trial import JobRecord
from tests.chaos.wire import ORCHESTRATOR, RECOVERY, marked
from zenml_azureml.emulator.state import PROVIDER, WorkspaceName

#: With up to seven digits of a second, as Azure writes times.
_MOMENT: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)

#: How often somebody in Studio tries to cancel a job.
_CLICKS = 4

#: Seconds, of this machine's, in which a job begins to run.
_RUNS_WITHIN = 15.0


class Admin:
    """Who clicks in Studio, and who makes it evict a job.

    Args:
        address: Where the emulator is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        tls = ssl.create_default_context(cafile=address.ca_file)
        self._connection = HTTPSConnection(urlsplit(address.url).netloc, context=tls, timeout=60)
        self._token = self._sign_in()
        place = WorkspaceName()
        group = f"/subscriptions/{place.subscription_id}/resourceGroups/{place.resource_group}"
        self._workspace = f"{group}/providers/{PROVIDER}/workspaces/{place.name}"

    def reset(self) -> None:
        """Begin with the next schedule: no jobs, no faults."""
        self._call("POST", "/_emulator/reset")

    def arm(self, planned: PlannedFault) -> None:
        """Have a fault happen, to the requests of the process alone that it is for."""
        answer = FAULTS[planned.fault].answer
        if answer is not None:
            client = marked(RECOVERY if planned.recovery else ORCHESTRATOR, planned.phase)
            where = {"client": client, "after": planned.after, "times": planned.times}
            self._call("POST", "/_emulator/faults", {**where, **answer})

    def fired(self) -> list[int]:
        """How often each of the armed faults has happened."""
        return [int(fault["fired"]) for fault in self._call("GET", "/_emulator/faults")]

    def jobs(self) -> list[JobRecord]:
        """All jobs."""
        return [_job_record(job) for job in self._call("GET", "/_emulator/jobs")]

    def open_vault(self) -> None:
        """Make a cluster whose jobs may read the key vault, and let the operator write there."""
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "computeType": "AmlCompute",
                "properties": {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 9}},
            },
        }
        self._as_user("PUT", f"{self._workspace}/computes/{VAULT_CLUSTER}?api-version=2024-04-01", body)
        self._call("POST", "/_emulator/vault-access", {"computes": [VAULT_CLUSTER]})

    def secrets(self) -> list[str]:
        """Names of the secrets that are in the key vault."""
        vaults: list[dict[str, Any]] = self._call("GET", "/_emulator/vaults")
        return [name for vault in vaults for name in vault["secrets"]]

    def definitions(self) -> str:
        """All that the definitions of the jobs have in them."""
        return json.dumps(self._definitions())

    def inputs(self) -> dict[str, str]:
        """By job: the address of the input that steps with data have."""
        return {job["name"]: job["properties"]["inputs"][DATA_INPUT]["uri"] for job in self._definitions()}

    def add_version(self) -> None:
        """Register the next version of the data asset that steps with data read."""
        versions = f"{self._workspace}/data/{DATA_ASSET}/versions"
        try:
            number = len(self._as_user("GET", f"{versions}?api-version=2024-04-01")["value"]) + 1
        except RuntimeError:  # there is no such asset yet
            number = 1
        uri = "azureml://datastores/workspaceblobstore/paths/images/"
        body = {"properties": {"dataType": "uri_folder", "dataUri": uri}}
        self._as_user("PUT", f"{versions}/{number}?api-version=2024-04-01", body)

    def _definitions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        path = f"{self._workspace}/jobs?api-version=2024-04-01&listViewType=All"
        while path:
            page = self._as_user("GET", path)
            found += page["value"]
            path = page.get("nextLink", "").removeprefix(self._address.url)
        return found

    def cancel_all_jobs(self) -> tuple[str, ...]:
        """Cancel what runs, as a user does in Studio; names of the jobs that it hit."""
        hit = []
        for job in self._unfinished():
            path = f"{self._workspace}/jobs/{job.name}/cancel?api-version=2024-04-01"
            for _ in range(_CLICKS):
                try:
                    self._as_user("POST", path)
                except (OSError, HTTPException, RuntimeError):
                    self._connection.close()
                else:
                    hit.append(job.name)
                    break
        return tuple(hit)

    def let_wait(self) -> None:
        """Have no node be free for the next job."""
        self._call("POST", "/_emulator/scenario", {"name": "never-started"})

    def strike_all_jobs(self, scenario: str) -> tuple[str, ...]:
        """Have a scenario happen to the jobs that run, or to the first that runs soon; names of those that it hit."""
        deadline = time.monotonic() + _RUNS_WITHIN
        while (jobs := self._unfinished()) and time.monotonic() < deadline:
            # One by one, so that those are known which it happens to.
            hit = tuple(
                job.name
                for job in jobs
                if self._call("POST", "/_emulator/scenario", {"name": scenario, "now": True, "jobs": f"^{job.name}$"})[
                    "fired"
                ]
            )
            if hit:
                return hit
            time.sleep(0.005)
        return ()

    def kill_rank(self, rank: int) -> tuple[str, ...]:
        """Kill a process of the first job that runs, or is about to; the job's name, or nothing where none does."""
        deadline = time.monotonic() + _RUNS_WITHIN
        while (jobs := self._unfinished()) and time.monotonic() < deadline:
            for job in jobs:
                # It is refused where nothing of the job runs, as yet or any more.
                with contextlib.suppress(RuntimeError):
                    self._call("POST", f"/_emulator/jobs/{job.name}/kill", {"rank": rank})
                    return (job.name,)
            time.sleep(0.005)
        return ()

    def running_jobs(self, meanwhile: Callable[[], None]) -> tuple[str, ...]:
        """The jobs that run, or the first that runs soon.

        Args:
            meanwhile: Called while this waits.
        """
        deadline = time.monotonic() + _RUNS_WITHIN
        while (jobs := self._unfinished()) and time.monotonic() < deadline:
            if running := tuple(job.name for job in jobs if job.status == "Running"):
                return running
            meanwhile()
            time.sleep(0.005)
        return ()

    def _unfinished(self) -> list[JobRecord]:
        return [job for job in self.jobs() if job.ended_at is None]

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

    def _as_user(self, method: str, path: str, body: object = None) -> Any:
        return self._call(method, path, body, {"Authorization": f"Bearer {self._token}"})

    def _call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body)
        own = {"Content-Type": "application/json", "Authorization": f"Bearer {self._address.key}"}
        try:
            self._connection.request(method, path, data, {**own, **(headers or {})})
            answer = self._connection.getresponse()
        except (RemoteDisconnected, ConnectionError):  # the emulator closes connections that idle
            self._connection.close()
            self._connection.request(method, path, data, {**own, **(headers or {})})
            answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None


def _job_record(job: dict[str, Any]) -> JobRecord:
    tags = job["tags"]
    created, ended = (_MOMENT.validate_python(job[name]) for name in ("created", "ended"))
    assert created is not None
    return JobRecord(job["name"], job["status"], tags["zenml_step_run_id"], tags["zenml_step"], created, ended)
