"""Runs a dynamic pipeline of many command steps: `python -m benchmarks.dynamic_run KIND PLACE NUMBER`."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from benchmarks.bench import report
from benchmarks.home import activate, operator
from benchmarks.pipelines import run_commands


def main() -> None:
    kind, place, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    settled: dict[str, float] = {}
    if kind == "ours":
        _note_ends(settled)
    step_operator = operator(kind, "" if kind == "none" else place)
    activate(step_operator)
    began = time.process_time()
    run, took = run_commands(number, dynamic=True)
    spent = time.process_time() - began
    report({"seconds": took, "processor": spent, "status": run.status.value, "settled": settled, "ended": _ends(run)})
    os._exit(0)


def _note_ends(settled: dict[str, float]) -> None:
    """Note when the watcher lets those who wait know of the end of each job."""
    from zenml_azureml.azure.jobs.handle import JobHandle

    original = JobHandle.settle

    def settle(job: JobHandle, *arguments: Any) -> None:
        original(job, *arguments)
        settled[job.name] = time.time()

    JobHandle.settle = settle  # type: ignore[method-assign,assignment]


def _ends(run: Any) -> dict[str, float]:
    """When each step ended by ZenML's account, by the name of its job."""
    from datetime import timezone

    from zenml.client import Client

    ends = {}
    page = 1
    while True:
        found = Client().list_run_steps(pipeline_run_id=run.id, size=200, page=page, hydrate=True)
        for step_run in found.items:
            metadata = step_run.run_metadata
            name = metadata.get("azureml_job_name") or metadata.get("job_name")
            if name and step_run.end_time:
                ends[str(name)] = step_run.end_time.replace(tzinfo=timezone.utc).timestamp()
        if page >= found.total_pages:
            return ends
        page += 1


if __name__ == "__main__":
    main()
