"""What jobs have cost, by Azure's estimates of prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.azure.jobs.status import FINALIZING

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.listing import ListedJob


def in_usd(usd: float) -> str:
    """Some US dollars in digits: with cents, and with more of them where it is a matter of cents."""
    return f"{usd:.2f}" if usd == 0 or usd >= 0.1 else f"{usd:.4f}"


def usd_per_hour(job_tags: Mapping[str, str]) -> float | None:
    """Estimated US dollars per hour of all nodes of a job, by its tags; None where its price is not known."""
    try:
        return float(job_tags[tags.USD_PER_HOUR])
    except (KeyError, ValueError):  # none, or somebody has edited it
        return None


def usd_of(job: ListedJob, now: datetime) -> float | None:
    """Estimated US dollars that a job has cost so far; None where its price, or for how long it ran, is not known.

    Args:
        job: The job.
        now: The time.
    """
    if job.started is None:  # it has not run, or it is one of those of which Azure keeps no times
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
    """What some jobs have cost together.

    Attributes:
        usd: Estimated US dollars of those whose cost is known.
        jobs: Number of all.
        unknown: Number of those whose cost is not known.
    """

    usd: float
    jobs: int
    unknown: int

    def describe(self) -> str:
        """As a sentence."""
        jobs = f"{self.jobs} {'job' if self.jobs == 1 else 'jobs'}"
        if self.unknown == self.jobs:
            return f"Estimated cost of the run so far: unknown ({jobs}, none with a known price)."
        without = f", without {self.unknown} whose price is unknown" if self.unknown else ""
        return f"Estimated cost of the run so far: {in_usd(self.usd)} USD ({jobs}{without})."


def total_of(jobs: Sequence[ListedJob], now: datetime) -> Total:
    """What jobs have cost together.

    Args:
        jobs: The jobs, finished ones too.
        now: The time.
    """
    costs = [usd_of(job, now) for job in jobs]
    known = [cost for cost in costs if cost is not None]
    return Total(sum(known), len(costs), len(costs) - len(known))
