"""How fast the emulator is: it must not be what all others wait for."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.bench import Bench
from benchmarks.client import Client
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
        client = client_of(bench)
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


def client_of(bench: Bench) -> Client:
    return Client(bench.emulator.variables, subscription_of("speed"), "bench", "speed")


def _throughput(bench: Bench, number: int) -> tuple[float, float]:
    clients = [client_of(bench) for _ in range(8)]

    def ask(client: Client) -> None:
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


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
