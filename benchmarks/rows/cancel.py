"""How long after Azure has cancelled a job it is known that it has."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

from benchmarks.bench import Bench
from benchmarks.home import operator, sdk_client, step_run_infos, submit
from benchmarks.table import Row, median, seconds

#: Seconds that the service takes.
_FINALIZATION = 2.0


def measure(bench: Bench) -> list[Row]:
    runs = len(bench.runs())
    ours = operator("ours", "cancel")
    infos = step_run_infos(2 * runs)
    jobs = [submit(ours, info, {"SIMULATE_SECONDS": "3600"}) for info in infos]
    time.sleep(2)
    at: dict[str, float] = {}
    # Side by side: the SDK's takes a minute, and hardly anything else.
    threads = [threading.Thread(target=_by_sdk, args=[ours, job, at]) for job in jobs[:runs]]
    threads += [
        threading.Thread(target=_by_us, args=[ours, info, job, at])
        for info, job in zip(infos[runs:], jobs[runs:], strict=True)
    ]
    if bench.quick:
        threads = threads[runs:]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = bench.emulator.ends("cancel")
    sdk = [at[job] - ends[job] for job in jobs[:runs] if job in at]
    us = [at[job] - ends[job] for job in jobs[runs:]]
    return [
        Row(
            f"cancel until verified, after Azure has done it (median of {runs}; built-in: the SDK's own waiting, as "
            "the built-in operator verifies nothing)",
            seconds(median(sdk)) if sdk else "not measured",
            f"{seconds(median(us))}, worst {seconds(max(us))}",
            "at most 2 s",
            max(us) <= 2,
        )
    ]


def _by_sdk(step_operator: Any, job: str, at: dict[str, float]) -> None:
    client = sdk_client(step_operator)
    client.jobs.begin_cancel(job).result()
    at[job] = time.time()


def _by_us(step_operator: Any, info: Any, job: str, at: dict[str, float]) -> None:
    from zenml_azureml.azure.jobs.watch import WatchOptions
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

    step_operator.cancel(info.step_run)
    workspace = step_operator.workspace(AzureMLStepOperatorSettings())
    workspace.watch(job, WatchOptions(tag="", patience=timedelta(minutes=1))).wait(timedelta(minutes=2))
    at[job] = time.time()
