"""How late the end of a job is noticed in a static pipeline, over jobs of 5 to 300 s."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.bench import Bench
from benchmarks.home import operator, step_run_infos, submit
from benchmarks.table import Row, seconds

#: Seconds that the jobs last.
DURATIONS = (5, 8, 13, 21, 34, 47, 66, 89, 121, 155, 199, 248, 300)


def measure(bench: Bench) -> list[Row]:
    durations = (1, 2) if bench.quick else DURATIONS
    infos = step_run_infos(len(durations))
    noticed: dict[str, dict[str, float]] = {"builtin": {}, "ours": {}}
    threads = []
    for kind, at in noticed.items():
        one = operator(kind, f"notice-{kind}")
        for info, duration in zip(infos, durations, strict=True):
            # Each a copy: what is recorded of its job is kept in it.
            own = info.model_copy(update={"step_run": info.step_run.model_copy(deep=True)})
            threads.append(threading.Thread(target=_wait, args=[one, own, duration, at]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = {}
    for kind, at in noticed.items():
        ends = bench.emulator.ends(f"notice-{kind}")
        late[kind] = [at[name] - ends[name] for name in at]
    mean = {kind: sum(each) / len(each) for kind, each in late.items()}
    worst = {kind: max(each) for kind, each in late.items()}
    over = f"over {len(durations)} jobs of {durations[0]} to {durations[-1]} s"
    return [
        Row(f"end of job noticed, static, mean {over}", *_both(mean), "at most 0.8 s", mean["ours"] <= 0.8),
        Row(f"end of job noticed, static, worst {over}", *_both(worst), "at most 1.5 s", worst["ours"] <= 1.5),
    ]


def _wait(step_operator: Any, info: Any, duration: float, noticed: dict[str, float]) -> None:
    job = submit(step_operator, info, {"SIMULATE_SECONDS": str(duration)})
    step_operator.wait(info.step_run)
    noticed[job] = time.time()


def _both(values: dict[str, float]) -> tuple[str, str]:
    return seconds(values["builtin"]), seconds(values["ours"])
