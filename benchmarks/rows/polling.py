"""The processor time of one poll of a running step, and the memory kept of finished steps."""

from __future__ import annotations

import gc
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.bench import Bench
from benchmarks.home import operator, step_run_infos, submit
from benchmarks.table import Row

#: Polls of one step.
_POLLS = 5000

#: Steps that run at once, and groups of them that run before the memory is measured and after it.
_AT_ONCE, _GROUPS = 25, 6


def measure(bench: Bench) -> list[Row]:
    times = {kind: _per_poll(kind, 100 if bench.quick else _POLLS) for kind in ("builtin", "ours")}
    groups = 1 if bench.quick else _GROUPS
    kept, steps = _kept(groups), groups * _AT_ONCE
    return [
        Row(
            f"processor time of one `get_status` of a running step (mean of {_POLLS:,})",
            f"{times['builtin']:.3f} ms",
            f"{times['ours']:.3f} ms",
            "at most 0.03 ms",
            times["ours"] <= 0.03,
        ),
        Row(
            f"bytes of Python objects kept for each finished step, over {steps} steps after {steps} others",
            "",
            f"{kept:.0f}",
            "at most 100",
            kept <= 100,
        ),
    ]


def _per_poll(kind: str, polls: int) -> float:
    one = operator(kind, f"poll-{kind}")
    (info,) = step_run_infos(1)
    submit(one, info, {"SIMULATE_SECONDS": "600"})
    one.get_status(info.step_run)
    # Each poll of the built-in operator is a request, so fewer of them show as much.
    count = polls if kind == "ours" else max(20, polls // 50)
    began = time.thread_time()
    for _ in range(count):
        one.get_status(info.step_run)
    return (time.thread_time() - began) / count * 1000


def _kept(groups: int) -> float:
    one = operator("ours", "kept")
    first, second = ([step_run_infos(_AT_ONCE) for _ in range(groups)] for _ in range(2))
    tracemalloc.start()
    _run_groups(one, first)
    before = _allocated()
    _run_groups(one, second)
    kept = (_allocated() - before) / (groups * _AT_ONCE)
    tracemalloc.stop()
    return kept


def _run_groups(one: Any, groups: list[list[Any]]) -> None:
    for infos in groups:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(lambda info: _run(one, info), infos))


def _run(one: Any, info: Any) -> None:
    # A copy: what is recorded of a job is kept in the step run.
    own = info.model_copy(update={"step_run": info.step_run.model_copy(deep=True)})
    submit(one, own, {"SIMULATE_SECONDS": "0.1"})
    one.wait(own.step_run)
    one.cleanup_step_submission(own.step_run)


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
