"""What it costs to wait for many jobs: requests per minute, and memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from benchmarks.bench import Bench, in_a_process
from benchmarks.table import Row
from benchmarks.waiters import running_step

NUMBERS = (1, 10, 100, 1000)
PAGE = 20
_FINISHED = 20_000
_KINDS = ("builtin", "ours")
_CHILD = "benchmarks.waiters"


def measure_requests(bench: Bench) -> list[Row]:
    numbers = (1, 10) if bench.quick else NUMBERS
    step = running_step()
    duration = 3 if bench.quick else 30
    for kind in _KINDS:
        for number in numbers:
            _seed(bench, _place(kind, number), step, number)
    few = [(kind, number) for number in numbers if number < 1000 for kind in _KINDS]
    # A thousand threads of one would take the processor from the other: one after the other.
    many = [[(kind, number)] for number in numbers if number >= 1000 for kind in _KINDS]
    found: dict[tuple[str, int], tuple[float, int]] = {}
    for group in (few, *many):
        with ThreadPoolExecutor(len(group)) as threads:  # each has a workspace of its own
            windows = threads.map(
                lambda one: in_a_process(
                    _CHILD, one[0], f"watch-{one[0]}-{one[1]}", step.step_run_id, one[1], duration
                ),
                group,
            )
            for one, window in zip(group, windows, strict=True):
                found[one] = _per_minute(bench, f"watch-{one[0]}-{one[1]}", window)
    flat = found["ours", numbers[0]][0]
    rows = []
    for number in numbers:
        (theirs, theirs_refused), (ours, ours_refused) = found["builtin", number], found["ours", number]
        pages = -(-number // PAGE)
        rows.append(
            Row(
                f"requests per minute to Resource Manager while {number:,} jobs run, {_FINISHED:,} finished ones in "
                f"the workspace (over {duration} s)",
                _cell(theirs, theirs_refused),
                _cell(ours, ours_refused),
                "flat" if pages == 1 else f"flat, times {pages} pages",
                ours <= flat * pages * 1.1 and not ours_refused,
            )
        )
    return rows


def measure_memory(bench: Bench) -> list[Row]:
    number = 20 if bench.quick else 1000
    step = running_step()
    _seed(bench, "memory", step, number + 1)
    used = {}
    bench.emulator.set(rate_limits=False)
    try:
        for kind in ("builtin", "ours", "ours-dynamic"):
            used[kind] = float(in_a_process("benchmarks.memory", kind, "memory", step.step_run_id, number))
    finally:
        bench.emulator.set(rate_limits=True)
    return [
        Row(
            f"memory per waiting step, {number:,} waiting, each in a thread (1 run)",
            f"{used['builtin']:.0f} KB",
            f"{used['ours']:.0f} KB; in a dynamic pipeline, without threads, {used['ours-dynamic']:.0f} KB",
            "at most 100 KB",
            max(used["ours"], used["ours-dynamic"]) <= 100,
        )
    ]


def _place(kind: str, number: int) -> str:
    return f"watch-{kind}-{number}"


def _seed(bench: Bench, place: str, step: Any, running: int) -> None:
    finished = 100 if bench.quick else _FINISHED
    bench.emulator.seed(place, prefix="finished-", number=finished, status="Completed", tag="zenml_run_of_yesterday")
    tag = f"zenml_run_{step.run_id.hex}"
    bench.emulator.seed(place, prefix="running-", number=running, status="Running", tag=tag)


def _per_minute(bench: Bench, place: str, window: tuple[float, float]) -> tuple[float, int]:
    """Requests per minute in that time, and how many in it were refused."""
    in_it = [
        entry
        for entry in bench.emulator.requests(place)
        if entry["path"].startswith("/subscriptions/") and window[0] <= _start(entry) < window[1]
    ]
    return len(in_it) * 60 / (window[1] - window[0]), sum(entry["status"] == 429 for entry in in_it)


def _cell(per_minute: float, throttled: int) -> str:
    return f"{per_minute:.0f}" + (f" ({throttled} of them refused: 429)" if throttled else "")


def _start(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["start"]).timestamp()
