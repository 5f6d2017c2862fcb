"""Submitting a step in steady state: requests, time if each takes 100 ms, and processor time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any
from unittest.mock import patch

from benchmarks.bench import Bench
from benchmarks.home import operator, step_run_infos, submit
from benchmarks.table import Row, median

LATENCY = 0.1

#: Submits in one run of one operator.
_SUBMITS = 5


def measure(bench: Bench) -> list[Row]:
    number = 1 if bench.quick else _SUBMITS
    infos = iter(step_run_infos((len(bench.runs()) * number + 1) * 2))
    operators = {kind: operator(kind, f"submit-{kind}") for kind in ("builtin", "ours")}
    for one in operators.values():
        submit(one, next(infos), {})  # from now on it is in steady state
    before = {kind: _requests(bench, kind) for kind in operators}
    bench.emulator.set(latency=LATENCY)
    took: dict[str, list[float]] = {"builtin": [], "ours": [], "one": []}
    used: dict[str, list[float]] = {"builtin": [], "ours": []}
    stored: dict[str, list[float]] = {"builtin": [], "ours": []}
    connection = _connection(operators["ours"])
    try:
        for _ in bench.runs():
            took["one"].append(_timed(lambda: _one_request(connection)))
            for kind, one in operators.items():
                for info in islice(infos, number):
                    with _store_time() as in_store:
                        began = time.process_time()
                        took[kind].append(_timed(lambda one=one, info=info: submit(one, info, {})))
                        stored[kind].append(sum(in_store))
                        used[kind].append(time.process_time() - began - sum(in_store))
                    one.cleanup_step_submission(info.step_run)  # so that nothing but submits goes on
                    time.sleep(3 * LATENCY)
    finally:
        bench.emulator.set(latency=0)
    sent = {kind: _requests(bench, kind)[len(before[kind]) :] for kind in operators}
    each = {kind: len(sent[kind]) / len(took[kind]) for kind in operators}
    connections = {kind: len({entry["connection"] for entry in sent[kind]}) for kind in operators}
    one_trip = median(took["one"])
    trips = {kind: median(took[kind]) / one_trip for kind in operators}
    return [
        Row(
            "requests per submit, steady state",
            f"{each['builtin']:g}",
            f"{each['ours']:g}",
            "1",
            each["ours"] == 1,
        ),
        Row(
            "TCP connections for them",
            f"{connections['builtin']}",
            f"{connections['ours']}",
            "1",
            connections["ours"] == 1,
        ),
        Row(
            f"submit at {LATENCY * 1000:.0f} ms per request, in round trips of {one_trip * 1000:.0f} ms (median of "
            f"{len(took['ours'])})",
            f"{trips['builtin']:.2f}",
            f"{trips['ours']:.2f}",
            "at most 1.3",
            trips["ours"] <= 1.3,
        ),
        Row(
            f"processor time of a submit, beside what ZenML's database in this process takes (median of "
            f"{len(used['ours'])})",
            _processor_time(used["builtin"], stored["builtin"]),
            _processor_time(used["ours"], stored["ours"]),
            "at most the built-in's",
            median(used["ours"]) <= median(used["builtin"]),
        ),
    ]


@contextmanager
def _store_time() -> Iterator[list[float]]:
    """Note the processor time of each call that saves metadata: users' clients send them to a server."""
    from zenml.client import Client

    store = type(Client().zen_store)
    save, took = store.create_run_metadata, []

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.thread_time()
        try:
            return save(*arguments, **options)
        finally:
            took.append(time.thread_time() - began)

    with patch.object(store, "create_run_metadata", timed):
        yield took


def _processor_time(used: list[float], stored: list[float]) -> str:
    return f"{median(used) * 1000:.1f} ms; the database {median(stored) * 1000:.1f} ms"


def _requests(bench: Bench, kind: str) -> list[dict[str, Any]]:
    """Those of submitting: looks at the jobs that were submitted before go on beside it."""
    served = bench.emulator.requests(f"submit-{kind}")
    return [entry for entry in served if entry["method"] == "PUT" or "/environments/" in entry["path"]]


def _connection(ours: Any) -> Any:
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

    return ours.workspace(AzureMLStepOperatorSettings())._connection


def _one_request(connection: Any) -> None:
    """One round trip by the same client, in no workspace that is counted."""
    address = connection.address
    url = f"{address.cloud.resource_manager}/subscriptions/{address.subscription_id}?api-version=2022-12-01"
    connection.get_json(url)


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
