"""A thousand command steps of a dynamic pipeline at once, under Resource Manager's limits."""

from __future__ import annotations

import subprocess
from typing import Any

from benchmarks.bench import Bench, in_a_process
from benchmarks.table import Row, median, seconds

#: Seconds that a job lasts.
JOB = 30

#: Resource Manager's limit for writes: tokens at first, and in a second.
_BURST, _RATE = 200, 10

#: Seconds after which the built-in operator is not waited for any longer.
_PATIENCE = 220


def measure(bench: Bench) -> list[Row]:
    number, job = (20, 2) if bench.quick else (1000, JOB)
    bench.emulator.set(simulated_seconds=job)
    try:
        none = _run("none", "", number, None)
        ours = _run("ours", "dynamic-ours", number, None)
        theirs = _run("builtin", "dynamic-builtin", number, _PATIENCE)
    finally:
        bench.emulator.set(simulated_seconds=0)
    assert none is not None
    assert ours is not None
    allowed = job + max(0, number - _BURST) / _RATE
    most = 1.2 * (allowed + none["seconds"])
    refused = {kind: _refused(bench, f"dynamic-{kind}") for kind in ("builtin", "ours")}
    ends = bench.emulator.ends("dynamic-ours")
    watcher = [ours["settled"][name] - ends[name] for name in ours["settled"]]
    what = f"{number:,} command steps at once in a dynamic pipeline, jobs of {job} s (1 run)"
    done = len(bench.emulator.ends("dynamic-builtin"))
    return [
        Row(
            f"{what}: wall time; the limits allow {allowed:.0f} s, a no-op operator takes {none['seconds']:.0f} s",
            seconds(theirs["seconds"]) if theirs else f"not done after {_PATIENCE} s ({done} jobs were)",
            f"{ours['seconds']:.0f} s ({ours['status']})",
            f"at most {most:.0f} s",
            ours["seconds"] <= most and ours["status"] == "completed",
        ),
        Row(
            f"{what}: processor time of the orchestrator for each step, beyond that of a no-op operator",
            "" if theirs is None else _beyond(theirs, none, number),
            _beyond(ours, none, number),
        ),
        Row(
            f"{what}: requests refused with 429",
            f"{refused['builtin']}",
            f"{refused['ours']}",
            "0",
            refused["ours"] == 0,
        ),
        Row(
            f"{what}: end of job known to the watcher, mean and worst",
            "",
            f"{seconds(sum(watcher) / len(watcher))}, {seconds(max(watcher))}",
            "at most 2 s",
            max(watcher) <= 2,
        ),
        Row(
            f"{what}: end of job known to ZenML, median and worst",
            _late(bench, "dynamic-builtin", theirs),
            _late(bench, "dynamic-ours", ours),
        ),
    ]


def _run(kind: str, place: str, number: int, patience: float | None) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = in_a_process("benchmarks.dynamic_run", kind, place, number, timeout=patience)
    except subprocess.TimeoutExpired:
        return None
    return found


def _beyond(run: dict[str, Any], none: dict[str, Any], number: int) -> str:
    return f"{(run['processor'] - none['processor']) / number * 1000:.1f} ms"


def _refused(bench: Bench, place: str) -> int:
    return sum(entry["status"] == 429 for entry in bench.emulator.requests(place))


def _late(bench: Bench, place: str, run: dict[str, Any] | None) -> str:
    if run is None:
        return ""
    ends = bench.emulator.ends(place)
    late = [at - ends[name] for name, at in run["ended"].items()]
    return f"{seconds(median(late))}, {seconds(max(late))}"
