"""Mutants of what exempts a job that is held open from the rule of one job, and of nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from tests.chaos.catalogue import HOLD
from tests.chaos.mutants.mutant import Mutant, nothing, put
from tests.chaos.schedule import PlannedEvent


def _end_held_jobs_before_a_retry() -> None:
    from zenml_azureml.lifecycle import earlier_jobs

    put(earlier_jobs.EarlierJobs, "note_end", nothing)
    put(earlier_jobs, "hold_of", nothing)


def _take_every_job_for_held() -> None:
    from zenml_azureml.lifecycle import earlier_jobs

    put(earlier_jobs, "hold_of", lambda *_arguments: datetime.now(timezone.utc) + timedelta(hours=1))


MUTANTS = (
    Mutant("a retry ends a held job", _end_held_jobs_before_a_retry, "kept", ((f"{HOLD}job GET", "503"),), "retries"),
    Mutant(
        "each job may be held",
        _take_every_job_for_held,
        "one job",
        ((f"{HOLD}job GET", "restarted"),),
        "retries",
        {"events": (PlannedEvent("restarted", "job GET", 1, "after"),), "held": True},
    ),
)
