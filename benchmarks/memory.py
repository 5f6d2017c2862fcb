"""Measures what waiting for many jobs takes of memory: `python -m benchmarks.memory KIND PLACE STEP_RUN NUMBER`."""

from __future__ import annotations

import gc
import os
import sys
import time

import psutil

from benchmarks.bench import report
from benchmarks.home import operator
from benchmarks.waiters import copies, wait_in_threads

#: Seconds until everybody waits.
_SETTLING = 15


def main() -> None:
    kind, place, step_run_id, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    step_operator = operator(kind.removesuffix("-dynamic"), place)
    step_runs = copies(step_run_id, number + 1, own_ids=kind != "builtin")
    step_operator.get_status(step_runs.pop())  # everything is imported and connected
    time.sleep(2)
    before = _memory()
    if kind.endswith("-dynamic"):
        for step_run in step_runs:
            step_operator.get_status(step_run)
    else:
        wait_in_threads(step_operator, step_runs)
    time.sleep(_SETTLING if number > 100 else 3)
    report((_memory() - before) / 1024 / number)
    os._exit(0)  # nobody ends the jobs


def _memory() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
