"""Ending jobs, and seeing to it that they have ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.listing import ListedJob
    from zenml_azureml.job_admin.inventory import FoundAt
    from zenml_azureml.job_admin.workspaces import Place

_POLL_INTERVAL = timedelta(seconds=1)

#: Jobs that are seen to at the same time.
_THREADS = 8


@dataclass(frozen=True)
class Cancelled:
    """What became of a job that was to be cancelled.

    Attributes:
        place: Where it is.
        job: The job, as it was last seen.
        problem: One line on why it may still run, with the command that cancels it by hand; empty if it has ended.
    """

    place: Place
    job: ListedJob
    problem: str = ""


def cancel_all(
    found: Iterable[FoundAt],
    timeout: timedelta,
    *,
    time: Time = SYSTEM_TIME,
) -> Iterator[Cancelled]:
    """Cancel jobs, and wait until they have ended. Each is told of in the order given; none is given up for another.

    Args:
        found: The jobs.
        timeout: How long they may take to end, all together.
        time: Where the time comes from.
    """
    deadline = time.monotonic() + timeout.total_seconds()

    def cancel(place: Place, job: ListedJob) -> Cancelled:
        try:
            place.workspace.cancel(job.name)
            while True:
                seen = place.workspace.find_job(job.name) or job
                if seen.phase.ended:
                    return Cancelled(place, seen)
                if time.monotonic() >= deadline:
                    break
                time.sleep(_POLL_INTERVAL.total_seconds())
        except AzureMLError as error:
            return Cancelled(place, job, _one_line(error, place.workspace.how_to_cancel(job.name)))
        return Cancelled(
            place,
            seen,
            f"The Azure ML job `{job.name}` was asked to end, but after {timeout.total_seconds():.0f} s it is still "
            f"{seen.status}. {place.workspace.how_to_cancel(job.name)}",
        )

    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(lambda place_and_job: cancel(*place_and_job), list(found))


def _one_line(error: AzureMLError, command: str) -> str:
    told = " ".join(str(error).split())
    return told if command in told else f"{told} {command}"
