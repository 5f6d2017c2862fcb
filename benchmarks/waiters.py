"""Waits for jobs as an orchestrator does: `python -m benchmarks.waiters KIND PLACE STEP_RUN NUMBER SECONDS`."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from benchmarks.bench import report
from benchmarks.home import operator, step_run_infos

#: Seconds until the built-in operator's pauses have grown to their longest.
WARM_UP = 33


def running_step() -> Any:
    """A step run that ZenML takes for running, whatever becomes of the jobs."""
    (info,) = step_run_infos(1)
    database = Path(os.environ["ZENML_CONFIG_PATH"], "local_stores", "default_zen_store", "zenml.db")
    with sqlite3.connect(database) as connection:
        for table, row in (("step_run", info.step_run_id), ("pipeline_run", info.run_id)):
            connection.execute(f"UPDATE {table} SET status = 'running' WHERE id = ?", (row.hex,))
    return info


def copies(step_run_id: str, number: int, *, own_ids: bool) -> list[Any]:
    """Step runs of as many jobs, `running-0` and so on: copies of one.

    Args:
        step_run_id: That one.
        number: How many.
        own_ids: Whether each has an id of its own, which the server does not know.
    """
    from zenml.client import Client

    original = Client().get_run_step(UUID(step_run_id))
    made = []
    for index in range(number):
        copy = original.model_copy(deep=True)
        if own_ids:
            copy.id = uuid4()
        copy.run_metadata.update({"azureml_job_name": f"running-{index}", "job_name": f"running-{index}"})
        made.append(copy)
    return made


def wait_in_threads(step_operator: Any, step_runs: list[Any]) -> None:
    """Wait for each in a thread, as orchestrators do for steps that run at the same time."""
    for step_run in step_runs:
        threading.Thread(target=step_operator.wait, args=[step_run], daemon=True).start()


def main() -> None:
    kind, place, step_run_id, number, duration = sys.argv[1:]
    step_operator = operator(kind, place)
    step_runs = copies(step_run_id, int(number), own_ids=kind == "ours")
    step_operator.get_status(step_runs[0])  # everything is imported and connected
    wait_in_threads(step_operator, step_runs)
    time.sleep(WARM_UP if float(duration) > 5 else 2)
    began = time.time()
    time.sleep(float(duration))
    report([began, time.time()])
    os._exit(0)  # nobody ends the jobs


if __name__ == "__main__":
    main()
