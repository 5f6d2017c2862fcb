"""The names of jobs, which every process can compute from the ids of their step runs. Pure."""

from __future__ import annotations

import re
from uuid import UUID

_JOB = "zenml-"
_STEP_RUN_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_JOB_NAME = re.compile(rf"{_JOB}(?P<step_run>{_STEP_RUN_ID})(?:-(?P<number>\d+))?", re.IGNORECASE)


def job_name_of(step_run_id: UUID, number: int = 1) -> str:
    """Return the name of a step run's job, which every process can compute, before and after the job exists.

    Args:
        step_run_id: The step run.
        number: Number of the job among those of its step run, from 1.
    """
    return f"{_JOB}{step_run_id}" if number == 1 else f"{_JOB}{step_run_id}-{number}"


def step_run_named_in(job_name: str) -> str:
    """Return the id of the step run of a job, by the job's name; the name itself if it is not one of this package."""
    found = _JOB_NAME.fullmatch(job_name)
    return found["step_run"] if found else job_name


def number_named_in(job_name: str) -> int:
    """Return the number of a job among those of its step run, by its name."""
    found = _JOB_NAME.fullmatch(job_name)
    return int(found["number"] or 1) if found else 1
