"""The processor time of one poll of a running step, and what is kept of a finished one."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

from benchmarks.bench import Bench
from benchmarks.home import operator, step_run_infos, submit
from benchmarks.table import Row

#: Polls of one step, and steps that are run to their end before the memory is measured and after it.
_POLLS, _STEPS = 5000, 200


def measure(bench: Bench) -> list[Row]:
    times = {kind: _per_poll(kind, 100 if bench.quick else _POLLS) for kind in ("builtin", "ours")}
    steps = 5 if bench.quick else _STEPS
    kept = _kept(steps)
    return [
        Row(
            f"processor time of one `get_status` of a running step (mean of {_POLLS})",
            f"{times['builtin']:.3f} ms",
            f"{times['ours']:.3f} ms",
            "at most 0.03 ms",
            times["ours"] <= 0.03,
        ),
        Row(
            f"bytes kept of each finished step, over {steps} steps after {steps} others",
            "",
            f"{kept:.0f}",
            "at most 100, which is noise",
            kept <= 100,
        ),
    ]


def _per_poll(kind: str, polls: int) -> float:
    one = operator(kind, f"poll-{kind}")
    (info,) = step_run_infos(1)
    submit(one, info, {"SIMULATE_SECONDS": "600"})
    one.get_status(info.step_run)
    # Each of the built-in operator's is a request, of which fewer tell as much.
    count = polls if kind == "ours" else max(20, polls // 50)
    began = time.thread_time()
    for _ in range(count):
        one.get_status(info.step_run)
    return (time.thread_time() - began) / count * 1000


def _kept(steps: int) -> float:
    one = operator("ours", "kept")
    _run_all(one, step_run_infos(steps))
    infos = step_run_infos(steps)
    tracemalloc.start()
    before = _allocated()
    _run_all(one, infos)
    infos.clear()
    kept = (_allocated() - before) / steps
    tracemalloc.stop()
    return kept


def _run_all(one: Any, infos: list[Any]) -> None:
    for info in infos:
        # A copy: what is recorded of its job is kept in it.
        own = info.model_copy(update={"step_run": info.step_run.model_copy(deep=True)})
        submit(one, own, {"SIMULATE_SECONDS": "0.1"})
        one.wait(own.step_run)
        one.cleanup_step_submission(own.step_run)


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
