"""What jobs have cost, by Azure's estimates of prices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from zenml_azureml import tags

if TYPE_CHECKING:
    from zenml_azureml.workspace.listing import ListedJob


def usd_of(job: ListedJob, now: datetime) -> float | None:
    """Estimated US dollars that a job has cost so far; None where its price is not known.

    Args:
        job: The job.
        now: The time.
    """
    try:
        per_hour = float(job.tags[tags.USD_PER_HOUR])
    except (KeyError, ValueError):  # none, or somebody has edited it
        return None
    if job.started is None:
        return 0.0
    until = job.ended or (job.started if job.phase.ended else now)
    return per_hour * max(0.0, (until - job.started).total_seconds()) / 3600


@dataclass(frozen=True)
class Total:
    """What some jobs have cost together.

    Attributes:
        usd: Estimated US dollars of those whose price is known.
        jobs: Number of all.
        unknown: Number of those whose price is not known.
    """

    usd: float
    jobs: int
    unknown: int

    def describe(self) -> str:
        """As a sentence."""
        jobs = f"{self.jobs} {'job' if self.jobs == 1 else 'jobs'}"
        if self.unknown == self.jobs:
            return f"The price of {jobs} is not known, so the cost of the run is not either."
        without = f", without {self.unknown} whose price is not known" if self.unknown else ""
        return f"Estimated cost of the run so far: {self.usd:.2f} USD ({jobs}{without})."


def total_of(jobs: Sequence[ListedJob], now: datetime) -> Total:
    """What jobs have cost together.

    Args:
        jobs: The jobs, finished ones too.
        now: The time.
    """
    costs = [usd_of(job, now) for job in jobs]
    known = [cost for cost in costs if cost is not None]
    return Total(sum(known), len(costs), len(costs) - len(known))
