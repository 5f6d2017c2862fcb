"""Recorded exchanges, and the same requests to an emulator."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.arm import Answer, Arm
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

HERE = Path(__file__).parent

#: The subscription, resource group and workspace in the recordings.
_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"


class SetupError(Exception):
    """Error of a request that prepares the emulator."""


@dataclass(frozen=True)
class Exchange:
    """A recorded request with its answer.

    Attributes:
        name: Name of its file.
        number: Its number; 0 for none.
        kind: `recording`, or a partial one, a quotation or an example.
        api_version: The api-version of the request.
        region: Region of the workspace.
        method: HTTP method.
        path: Path and query.
        request_body: Body of the request; None for none.
        status: HTTP status of the answer.
        headers: Headers of the answer.
        body: Body of the answer.
        setup: Requests that prepare the emulator, oldest first, each with `advance`: seconds that pass after it.
        send: Header of the last of these answers that has the address to request; empty for `path`.
    """

    name: str
    number: int
    kind: str
    api_version: str
    region: str
    method: str
    path: str
    request_body: Any
    status: int
    headers: dict[str, str]
    body: Any
    setup: list[dict[str, Any]] = field(default_factory=list)
    send: str = ""

    @classmethod
    def read(cls, file: Path) -> Exchange:
        """Read an exchange from its file."""
        found = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            name=file.stem,
            number=found.get("number", 0),
            kind=found["kind"],
            api_version=found.get("api_version", ""),
            region=found.get("region") or _region_in(found),
            method=found.get("method", "GET"),
            path=found.get("path", ""),
            request_body=found.get("request_body"),
            status=found.get("status", 0),
            headers=found.get("response_headers") or {},
            body=found.get("response_body"),
            setup=found.get("emulator_setup") or SETUPS.get(file.stem, []),
            send=found.get("emulator_send", SENDS.get(file.stem, "")).strip("{}"),
        )


@dataclass(frozen=True)
class Asked:
    """An emulator's answer to the request of an exchange.

    Attributes:
        answer: The answer.
        base_url: Address of the emulator.
    """

    answer: Answer
    base_url: str


def _region_in(found: dict[str, Any]) -> str:
    """Return the region that the addresses of an exchange name; the emulator's own if they name none."""
    addresses = (found.get("path", ""), *(found.get("response_headers") or {}).values())
    named = (re.search(r"/locations/([a-z0-9]+)/", address) for address in addresses)
    return next((one[1] for one in named if one), "eastus2")


def exchanges_in(folders: Iterable[Path]) -> list[Exchange]:
    """Return the exchanges in folders, by their numbers."""
    files = [file for folder in folders for file in sorted(folder.glob("*.json"))]
    return sorted((Exchange.read(file) for file in files), key=lambda exchange: exchange.number)


def ask(exchange: Exchange) -> Asked:
    """Send the request of an exchange to an emulator of its own, prepared by the exchange's setup.

    Raises:
        SetupError: If a request of the setup fails.
    """
    clock, settings = ManualClock(), Settings(compute_provisioning=60, job_preparation=60, job_finalization=1)
    workspace = "another" if exchange.name in WITHOUT_WORKSPACE else "ws"
    place = WorkspaceName(_SUBSCRIPTION, "rg", workspace, exchange.region)
    with (
        tempfile.TemporaryDirectory(prefix="parity-") as folder,
        Emulator(
            Path(folder) / "state",
            workspaces=[place],
            runtime=SimulatedRuntime(clock, settings),
            clock=clock,
            settings=settings,
        ) as emulator,
    ):
        arm = Arm(emulator)
        path = exchange.path
        for step in exchange.setup:
            address = step["path"] or arm.workspace
            answer = arm.call(step["method"], address, step.get("body"), api_version=step["api_version"])
            if answer.status >= 300:
                raise SetupError(f"{step['method']} {step['path']}: {answer.status} {answer.text[:300]}")
            if exchange.send in answer.headers:
                path = answer.headers[exchange.send]
            if step.get("advance"):
                emulator.run(clock.advance(step["advance"]))
        version = None if "api-version" in path else exchange.api_version
        return Asked(arm.call(exchange.method, path, exchange.request_body, api_version=version), emulator.base_url)


_VERSION = "2024-04-01"
_CLUSTER = {
    "method": "PUT",
    "path": "computes/testCompute",
    "api_version": _VERSION,
    "advance": 120,
    "body": {
        "location": "eastus2",
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}},
        },
    },
}
_ENVIRONMENT = {
    "method": "PUT",
    "path": "environments/env1/versions/bar",
    "api_version": _VERSION,
    "body": {"properties": {"image": "image:1"}},
}
_JOB = {
    "method": "PUT",
    "path": "jobs/job1",
    "api_version": "2025-01-01-preview",
    "body": {
        "properties": {
            "jobType": "Command",
            "command": "train",
            "environmentId": "azureml:env1:bar",
            "environmentVariables": {"SIMULATE_SECONDS": "1000"},
            "computeId": f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg/providers/"
            "Microsoft.MachineLearningServices/workspaces/ws/computes/testCompute",
        }
    },
}
_CANCEL = {"method": "POST", "path": "jobs/job1/cancel", "api_version": "2023-04-01-preview"}
_DIAGNOSE = {
    "method": "POST",
    "path": "diagnose",
    "api_version": "2022-05-01",
    "body": {"value": {"applicationInsights": {"key1": "insights1"}}},
}

_CODE = {
    "method": "PUT",
    "path": "codes/another/versions/1",
    "api_version": "2023-04-01",
    "body": {
        "properties": {
            "codeUri": "https://storage1.blob.core.windows.net:443/uploads/python",
            "isAnonymous": True,
            "properties": {
                "hash_sha256": "a4e91c079c2a271d699ffac5ca5441abc8034151356913e57bff8f483c3d3a3b",
                "hash_version": 202208,
            },
        }
    },
}
_DATA = {
    "method": "PUT",
    "path": "data/data1/versions/foo",
    "api_version": "2023-04-01-preview",
    "advance": 1,
    "body": {
        "properties": {"dataType": "uri_file", "dataUri": "azureml://datastores/workspaceblobstore/paths/sample1.csv"}
    },
}
_DATASTORE = {
    "method": "PUT",
    "path": "datastores/store1",
    "api_version": "2024-04-01",
    "body": {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "account1",
            "containerName": "azureml-blobstore-1",
            "credentials": {
                "credentialsType": "AccountKey",
                "secrets": {"secretsType": "AccountKey", "key": "a2V5"},
            },
        }
    },
}

#: What the emulator needs before the requests of exchanges whose files do not have it.
SETUPS: dict[str, list[dict[str, Any]]] = {
    "job_put_2026": [_CLUSTER, _ENVIRONMENT],
    "job_put_unknown_member_400": [_CLUSTER],
    "job_cancel_starting_202_2026": [_CLUSTER, _ENVIRONMENT, _JOB],
    "job_cancel_poll_202_2026": [_CLUSTER, _ENVIRONMENT, {**_JOB, "advance": 300}, _CANCEL],
    "job_cancel_poll_200_2026": [_CLUSTER, _ENVIRONMENT, _JOB, {**_CANCEL, "advance": 60}],
    "workspace_diagnose_poll_200": [_DIAGNOSE],
    "code_versions_by_hash_2026": [_CODE],
    "data_container_get_2026": [_DATA],
    "data_version_get_2026": [_DATA],
    "datastores_list_2025": [_DATASTORE],
}

#: Exchanges with a workspace that does not exist.
WITHOUT_WORKSPACE = {"job_put_no_workspace_404"}

#: Headers with the address to request, of the same.
SENDS = dict.fromkeys(
    ("job_cancel_poll_202_2026", "job_cancel_poll_200_2026", "workspace_diagnose_poll_200"), "Location"
)
