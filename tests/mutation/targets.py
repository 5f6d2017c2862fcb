"""What is mutated: everything that decides about a step's life, the delivery of its secrets included."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "zenml_azureml"

#: Modules, as paths below the package.
TARGETS = (
    "attempts.py",
    "background.py",
    "earlier_jobs.py",
    "ending.py",
    "following.py",
    "found_jobs.py",
    "guard.py",
    "interruptions.py",
    "moves.py",
    "moving.py",
    "outcome.py",
    "predecessor_search.py",
    "predecessors.py",
    "server_errors.py",
    "server_retries.py",
    "step_operator.py",
    "step_runs.py",
    "stop_checks.py",
    "jobs/orphans.py",
    "jobs/over.py",
    "in_job/over.py",
    "in_job/watcher.py",
    "workspace/job.py",
    "workspace/looks.py",
    "workspace/monitor.py",
    "workspace/retry.py",
    "workspace/secret_delivery.py",
    "workspace/watch.py",
    "workspace/watched_job.py",
)

#: Tests that execute them. Those of the documents, of containers and of whole demos are too slow for what they add.
TESTS = ("tests/unit", "tests/workspace", "tests/cli", "tests/e2e")
