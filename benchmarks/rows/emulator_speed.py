"""How fast the emulator is: it must not be what all others wait for."""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.bench import Bench
from benchmarks.emulator_process import subscription_of
from benchmarks.table import Row, median

_FINISHED = 20_000
_TAG = "run"


def measure(bench: Bench) -> list[Row]:
    emulator, number = bench.emulator, 20 if bench.quick else 500
    emulator.seed("speed", prefix="finished-", number=200 if bench.quick else _FINISHED, status="Completed", tag="old")
    emulator.seed("speed", prefix="running-", number=20, status="Running", tag=_TAG)
    emulator.set(rate_limits=False)
    try:
        client = _Client(bench)
        jobs = f"{client.workspace}/jobs"
        client.put(f"{client.workspace}/environments/bench/versions/1", {"image": "ubuntu"})
        job = {"jobType": "Command", "command": "true", "environmentId": "azureml:bench:1"}
        latency = {
            "a job": median([_timed(lambda: client.get(f"{jobs}/running-0")) for _ in range(number)]),
            "a page of 20 jobs": median([_timed(lambda: client.get(jobs, tag=_TAG)) for _ in range(number // 5)]),
            "a submit": median([_timed(lambda n=n: client.put(f"{jobs}/job-{n}", job)) for n in range(number // 5)]),
        }
        each, used = _throughput(bench, number)
    finally:
        emulator.set(rate_limits=True)
    what = ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in latency.items())
    return [
        Row(f"emulator: median latency with {_FINISHED:,} finished jobs", "", what),
        Row(
            "emulator: throughput, GET of a job by 8 connections (the clients need the other core)",
            "",
            f"{each:.0f} requests a second, {used * 1000:.2f} ms of processor time each",
        ),
    ]


def _throughput(bench: Bench, number: int) -> tuple[float, float]:
    clients = [_Client(bench) for _ in range(8)]

    def ask(client: _Client) -> None:
        for _ in range(number):
            client.get(f"{client.workspace}/jobs/running-0")

    threads = [threading.Thread(target=ask, args=[client]) for client in clients]
    used, began = bench.emulator.cpu_seconds(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, sent = time.perf_counter() - began, len(clients) * number
    return sent / took, (bench.emulator.cpu_seconds() - used) / sent


class _Client:
    """A client that costs as little as possible."""

    def __init__(self, bench: Bench) -> None:
        variables = bench.emulator.variables
        tls = ssl.create_default_context(cafile=variables["REQUESTS_CA_BUNDLE"])
        self._connection = HTTPSConnection(urlsplit(variables["AZUREML_DEV_URL_MFE"]).netloc, context=tls, timeout=60)
        with open(variables["AZURE_FEDERATED_TOKEN_FILE"]) as file:  # noqa: PTH123
            assertion = file.read()
        form = {
            "grant_type": "client_credentials",
            "client_id": variables["AZURE_CLIENT_ID"],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": "https://management.azure.com/.default",
        }
        path = f"/{variables['AZURE_TENANT_ID']}/oauth2/v2.0/token"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        token = json.loads(self._ask("POST", path, urlencode(form).encode(), kind))["access_token"]
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.workspace = (
            f"/subscriptions/{subscription_of('speed')}/resourceGroups/bench/providers/Microsoft.MachineLearningServices"
            "/workspaces/speed"
        )

    def get(self, path: str, **query: str) -> bytes:
        return self._ask("GET", f"{path}?{urlencode({'api-version': '2024-04-01', **query})}", None, self._headers)

    def put(self, path: str, properties: dict[str, Any]) -> bytes:
        body = json.dumps({"properties": properties}).encode()
        return self._ask("PUT", f"{path}?api-version=2024-04-01", body, self._headers)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return text


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
