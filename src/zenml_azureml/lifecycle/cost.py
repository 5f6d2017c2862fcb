"""The cost of jobs, by Azure's estimates of prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.azure.jobs.status import FINALIZING

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot


def in_usd(usd: float) -> str:
    """Return an amount of US dollars in digits, with two decimals, or four for small amounts."""
    return f"{usd:.2f}" if usd == 0 or usd >= 0.1 else f"{usd:.4f}"


def usd_per_hour(job_tags: Mapping[str, str]) -> float | None:
    """Return the estimated US dollars per hour of all nodes of a job, by its tags; None if unknown."""
    return _amount(job_tags.get(tags.USD_PER_HOUR))


def reserved_usd(job_tags: Mapping[str, str]) -> float | None:
    """Return what a job can cost at most in US dollars, by its tags; None if it has no cost limit."""
    return _amount(job_tags.get(tags.RESERVED_USD))


def _amount(text: str | None) -> float | None:
    try:
        amount = float(text or "")
    except ValueError:  # the tag is missing, or a user has edited it
        return None
    return amount if isfinite(amount) and amount >= 0 else None


def usd_of(job: JobSnapshot, now: datetime) -> float | None:
    """Return the estimated cost of a job so far in US dollars; None if its price or its running time is unknown.

    Args:
        job: The job.
        now: The time.
    """
    if job.started is None:  # it has not run, or Azure does not store its times
        return None if job.status in ("Running", FINALIZING, "Completed") else 0.0
    per_hour = usd_per_hour(job.tags)
    if per_hour is None:
        return None
    until = job.ended or (None if job.phase.ended else now)
    if until is None:
        return None
    return per_hour * max(0.0, (until - job.started).total_seconds()) / 3600


@dataclass(frozen=True)
class Total:
    """The total cost of some jobs.

    Attributes:
        usd: Estimated US dollars of the jobs whose cost is known.
        jobs: Number of all jobs.
        unknown: Number of jobs whose cost is not known.
        reserved: US dollars that its unfinished jobs with a cost limit can cost at most.
    """

    usd: float
    jobs: int
    unknown: int
    reserved: float = 0.0

    def describe(self) -> str:
        """Return the total as a sentence."""
        jobs = f"{self.jobs} {'job' if self.jobs == 1 else 'jobs'}"
        if self.unknown == self.jobs:
            return f"Estimated cost of the run so far: unknown ({jobs}, none with a known price)."
        without = f", without {self.unknown} whose price is unknown" if self.unknown else ""
        said = f"Estimated cost of the run so far: {in_usd(self.usd)} USD ({jobs}{without})."
        if self.reserved:
            said += f" Cost limits reserve {in_usd(self.reserved)} USD for its unfinished jobs."
        return said


def total_of(jobs: Sequence[JobSnapshot], now: datetime) -> Total:
    """Return the total cost of jobs.

    Args:
        jobs: The jobs, finished ones too.
        now: The time.
    """
    costs = [usd_of(job, now) for job in jobs]
    known = [cost for cost in costs if cost is not None]
    reserved = sum(reserved_usd(job.tags) or 0.0 for job in jobs if not job.phase.ended)
    return Total(sum(known), len(costs), len(costs) - len(known), reserved)
