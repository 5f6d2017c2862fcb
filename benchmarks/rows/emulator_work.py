"""How fast the emulator is at what people start it for: jobs as processes, and their data."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.bare_storage import bare_storage
from benchmarks.bench import Bench
from benchmarks.emulator_process import seed
from benchmarks.lasting import Lasting, ask, client_of, lasting, wait_until
from benchmarks.table import Row, median, seconds
from zenml_azureml.emulator.local import daemon

_START_SECONDS = 1.0
_JOBS = 1_000
_NODES = 8
_MEGABYTES = 1_024
#: The time of a transfer, over that with a server that only stores bytes.
_MOST_OVER_BARE = 1.5


def measure_start(bench: Bench) -> list[Row]:
    """From the command to the first answer."""
    new = [_start(bench.folder / f"start-{number}") for number in bench.runs()]
    folder, jobs = bench.folder / "start-again", 20 if bench.quick else _JOBS
    seed(folder, jobs)
    again = [_start(folder) for _ in bench.runs()]
    took = median(new), median(again)
    return [
        Row(
            f"emulator: `emulator start` until its first answer (median of {len(new)})",
            "",
            f"{seconds(took[0])}; with the state of {jobs:,} finished jobs {seconds(took[1])}",
            f"at most {_START_SECONDS:g} s",
            max(took) <= _START_SECONDS,
        )
    ]


def measure_job(bench: Bench) -> list[Row]:
    """A small job beside its bare process."""
    command = f"{sys.executable} -c 'print(1)'"
    with lasting(bench.folder / "job") as emulator:
        through, bare = [], []
        for number in bench.runs(15):
            bare.append(_timed(lambda: subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL)))
            through.append(_timed(partial(_run, emulator, f"job-{number}", command)))
    took, alone = median(through), median(bare)
    return [
        Row(
            f"emulator: a job of one small Python process, from submit to Completed (median of {len(bare)})",
            "",
            f"{seconds(took)}, {took / alone:.1f} times the bare process ({seconds(alone)})",
        )
    ]


def measure_many(bench: Bench) -> list[Row]:
    """Many jobs at once, on a cluster."""
    number = 20 if bench.quick else _JOBS
    with lasting(bench.folder / "many") as emulator:
        workspace = emulator.client.workspace
        scale = {"minNodeCount": 0, "maxNodeCount": _NODES}
        body = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS2_v2", "scaleSettings": scale}}
        emulator.client.put(f"{workspace}/computes/cluster", body, location="westeurope")
        clients = [client_of(emulator.running) for _ in range(_NODES)]

        def submit(client_number: int) -> None:
            for index in range(client_number, number, _NODES):
                emulator.submit(f"job-{index}", "true", "cluster", clients[client_number])

        with ThreadPoolExecutor(_NODES) as threads:
            began = time.perf_counter()
            list(threads.map(submit, range(_NODES)))
            submitted = time.perf_counter() - began
            wait_until(lambda: emulator.states() == {"Completed": number}, pause=0.2)
            took = time.perf_counter() - began
            bare = _timed(
                lambda: list(threads.map(lambda _: subprocess.run(["bash", "-c", "true"], check=True), range(number)))
            )
    return [
        Row(
            f"emulator: {number:,} jobs of `true` on a cluster of {_NODES} nodes, first submit to last Completed",
            "",
            f"{seconds(took)} (submitted after {seconds(submitted)}), {took / number * 1000:.0f} ms each; "
            f"the bare processes {seconds(bare)}",
        )
    ]


def measure_transfer(bench: Bench) -> list[Row]:
    """A large file up and down by azure-storage-blob, beside the same client with a server that only stores bytes."""
    from azure.storage.blob import BlobClient

    size = (16 if bench.quick else _MEGABYTES) * 2**20
    source, target = bench.folder / "large", bench.folder / "copy"

    def transfer(blob: BlobClient) -> tuple[float, float]:
        """Seconds for the way up and for the way down."""

        def up() -> None:
            with source.open("rb") as file:
                blob.upload_blob(file, overwrite=True, max_concurrency=4)

        def down() -> None:
            with target.open("wb") as file:
                blob.download_blob(max_concurrency=4).readinto(file)

        took = _timed(up), _timed(down)
        if not filecmp.cmp(source, target, shallow=False):
            raise RuntimeError("The download is not what was uploaded.")
        return took

    with source.open("wb") as file:
        for _ in range(size // 2**20):
            file.write(os.urandom(2**20))
    body = {"expirableSecret": True, "expireAfterHours": 1}
    with lasting(bench.folder / "transfer") as emulator:
        secrets = json.loads(
            emulator.client.post(f"{emulator.client.workspace}/datastores/workspaceblobstore/listSecrets", body)
        )
        store = json.loads(emulator.client.get(f"{emulator.client.workspace}/datastores/workspaceblobstore"))[
            "properties"
        ]
        account = f"https://{store['accountName']}.blob.core.windows.net"
        before = emulator.memory()
        ours = transfer(
            BlobClient(
                account,
                store["containerName"],
                "large",
                credential=secrets["sasToken"],
                connection_verify=str(emulator.running.ca_bundle),
            )
        )
        grown = (emulator.memory() - before) / 2**20
    with bare_storage(bench.folder / "bare") as (address, certificate):
        bare = transfer(BlobClient(address, "container", "large", connection_verify=str(certificate)))
    copied = _timed(lambda: shutil.copyfileobj(source.open("rb"), target.open("wb"), 2**20))
    rates = [size / 2**20 / took for took in (*ours, *bare, copied)]
    return [
        Row(
            f"emulator: {size // 2**20:,} MB by azure-storage-blob over HTTPS, on the same machine",
            "",
            f"up {rates[0]:.0f} MB/s, down {rates[1]:.0f} MB/s: {ours[0] / bare[0]:.2f} and {ours[1] / bare[1]:.2f} "
            f"times the time of the same client with a TLS server that only stores bytes ({rates[2]:.0f} and "
            f"{rates[3]:.0f} MB/s); a copy on the disk {rates[4]:.0f} MB/s; the emulator's memory "
            f"grows by {grown:.0f} MB",
            f"at most {_MOST_OVER_BARE:g} times",
            max(ours[0] / bare[0], ours[1] / bare[1]) <= _MOST_OVER_BARE,
        )
    ]


def measure_memory(bench: Bench) -> list[Row]:
    """Memory for each job that has ended."""
    number = 20 if bench.quick else 2 * _JOBS
    with lasting(bench.folder / "finished", runtime="simulated") as emulator:
        for index in range(number // 10):
            emulator.submit(f"warm-{index}", "true")
        wait_until(lambda: emulator.states() == {"Completed": number // 10}, pause=0.1)
        before = emulator.memory()
        for index in range(number):
            emulator.submit(f"job-{index}", "true")
        wait_until(lambda: emulator.states() == {"Completed": number + number // 10}, pause=0.1)
        each = (emulator.memory() - before) / number / 1024
    return [
        Row(f"emulator: memory per finished job ({number:,} jobs)", "", f"{each:.1f} KB", "at most 50 KB", each <= 50)
    ]


def _start(folder: Path) -> float:
    command = [sys.executable, "-m", "zenml_azureml.cli", "emulator", "start", "--state", str(folder), "--port", "0"]
    began = time.perf_counter()
    starting = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: daemon.find(folder) is not None, 60, pause=0.005)
        running = daemon.find(folder)
        if running is None:
            raise RuntimeError("The emulator has ended.")
        ask(running, "GET", "/_emulator/health")
        return time.perf_counter() - began
    finally:
        starting.wait()
        daemon.stop(folder)


def _run(emulator: Lasting, name: str, command: str) -> None:
    emulator.submit(name, command)
    wait_until(lambda: emulator.status(name) == "Completed", 120)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
