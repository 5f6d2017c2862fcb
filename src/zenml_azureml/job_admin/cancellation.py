"""Cancellation of jobs, with confirmation that they have ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.retry_loop import wait_until
from zenml_azureml.safe_text import one_line

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.inventory import FoundAt
    from zenml_azureml.job_admin.workspaces import Place

_POLL_INTERVAL = timedelta(seconds=1)

#: Number of jobs that are cancelled at the same time.
_THREADS = 8


@dataclass(frozen=True)
class Cancelled:
    """Result of the cancellation of a job.

    Attributes:
        place: Its workspace.
        job: Its last known state.
        problem: Reason why it may still run, in one line with the command that cancels it; empty if it has ended.
    """

    place: Place
    job: JobSnapshot
    problem: str = ""


def cancel_all(
    found: Iterable[FoundAt],
    timeout: timedelta,
    *,
    time: Time = SYSTEM_TIME,
) -> Iterator[Cancelled]:
    """Cancel jobs, and wait until they have ended. Yield their results in the given order; a failure stops no other.

    Args:
        found: The jobs.
        timeout: Time to wait for all of them to end.
        time: The clock.
    """
    deadline = time.monotonic() + timeout.total_seconds()

    def cancel(place: Place, job: JobSnapshot) -> Cancelled:
        try:
            place.workspace.cancel(job.name)
            seen = wait_until(
                lambda: place.workspace.find_job(job.name) or job,
                lambda listed: listed.phase.ended,
                deadline=deadline,
                interval=_POLL_INTERVAL.total_seconds(),
                time=time,
            )
        except AzureMLError as error:
            return Cancelled(place, job, _one_line(error, place.workspace.how_to_cancel(job.name)))
        if seen.phase.ended:
            return Cancelled(place, seen)
        return Cancelled(
            place,
            seen,
            f"Requested cancellation of the Azure ML job `{job.name}`, but after {timeout.total_seconds():.0f} s it is "
            f"still {seen.status}. {place.workspace.how_to_cancel(job.name)}",
        )

    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(lambda place_and_job: cancel(*place_and_job), list(found))


def _one_line(error: AzureMLError, command: str) -> str:
    message = one_line(str(error))
    return message if command in message else f"{message} {command}"
