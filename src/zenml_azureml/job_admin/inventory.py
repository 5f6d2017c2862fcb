"""Inventory of jobs, with the state of their step runs on ZenML's server."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_azureml import tags
from zenml_azureml.job_admin.orphans import JobFacts, NoStepRun, OrphanStatus, StepRunFacts, judge
from zenml_azureml.run_store.job_names import job_name_of

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.server import ServerView
    from zenml_azureml.job_admin.workspaces import Place

#: A workspace, and a job in it.
FoundAt = tuple["Place", "JobSnapshot"]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: Number of step runs that are requested at the same time.
_THREADS = 8


@dataclass(frozen=True)
class FoundJob:
    """A job that a pipeline has left in a workspace.

    Attributes:
        place: Its workspace.
        job: Its state in Azure ML.
        step_run: The state of its step run on ZenML's server.
        judgement: Decision if it is an orphan.
    """

    place: Place
    job: JobSnapshot
    step_run: StepRunFacts | NoStepRun
    judgement: OrphanStatus

    def tag(self, key: str) -> str:
        """Return the value of a tag; empty if it has none."""
        return self.job.tags.get(key, "")

    @property
    def operator(self) -> str:
        """Name of the step operator that submitted it; empty if unknown, as that of an older version may be."""
        return self.tag(tags.OPERATOR) or ("" if self.place.is_shared else self.place.operator)

    @property
    def how_to_cancel(self) -> str:
        """Command that cancels it, as a sentence."""
        return self.place.workspace.how_to_cancel(self.job.name)


def jobs_in(places: Iterable[Place], *, finished_too: bool = False, run: str | None = None) -> Iterator[FoundAt]:
    """Yield the jobs of pipelines in some workspaces, in each the newest first.

    Args:
        places: The workspaces.
        finished_too: True to include jobs that have ended.
        run: Name or id of a run, for its jobs only; None for all runs. With its id, Azure lists fewer jobs.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    tag = tags.of_run(UUID(run)) if run is not None and is_id(run) else tags.STEP_RUN_ID
    for place in places:
        for job in place.workspace.list_jobs(tag):
            if (finished_too or not job.phase.ended) and (run is None or belongs_to(job, run)):
                yield place, job


def find_job(job_or_step_run: str, places: Iterable[Place]) -> FoundAt | None:
    """Return a job by its name, or the newest job of a step run by its id; None if no workspace has it.

    Args:
        job_or_step_run: Name of the job, or id of the step run.
        places: The workspaces to search.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    for place in places:
        job = place.workspace.find_job(job_name(job_or_step_run))
        if job is not None:
            return place, _newest(job, job_or_step_run, place) if is_id(job_or_step_run) else job
    return None


def _newest(job: JobSnapshot, step_run_id: str, place: Place) -> JobSnapshot:
    """Return the newest job of a step run, given its first: their names are numbered without a gap."""
    for number in count(2):
        following = place.workspace.find_job(job_name_of(UUID(step_run_id), number))
        if following is None:
            break
        job = following
    return job


def job_name(job_or_step_run: str) -> str:
    """Return the name of a job, given its name or the id of its step run; for the id, that of the first job."""
    return job_name_of(UUID(job_or_step_run)) if is_id(job_or_step_run) else job_or_step_run


def is_id(text: str) -> bool:
    """True if a text is an id of ZenML, not a name."""
    return _ID.fullmatch(text) is not None


def belongs_to(job: JobSnapshot, run: str) -> bool:
    """True if a job belongs to a run, according to its tags.

    Args:
        job: The job.
        run: The run's name or id.
    """
    return run == job.tags.get(tags.RUN) or run.lower() == job.tags.get(tags.RUN_ID)


def judged(found: Iterable[FoundAt], server: ServerView, unknown_ends: Collection[str] = ()) -> list[FoundJob]:
    """Return jobs with the state of their step runs; requests only those of this server's unfinished jobs.

    Args:
        found: The jobs.
        server: The server.
        unknown_ends: Names of the jobs whose end is unknown to the server; see `ends_unknown_to`.
    """
    server_id = server.id

    def with_judgement(place: Place, job: JobSnapshot) -> FoundJob:
        end_is_known = job.name not in unknown_ends
        facts = JobFacts(job.status, job.phase.ended, job.tags.get(tags.SERVER_ID, ""), end_is_known)
        step_run: StepRunFacts | NoStepRun = NoStepRun.NOT_TOLD
        if not (facts.ended and end_is_known) and facts.server_id and facts.server_id == server_id:
            step_run = server.step_run(
                job.tags.get(tags.STEP_RUN_ID, ""), job.tags.get(tags.RUN_ID, ""), may_be_held=tags.HOLD in job.tags
            )
        return FoundJob(place, job, step_run, judge(facts, server_id, step_run, datetime.now(timezone.utc)))

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(lambda place_and_job: with_judgement(*place_and_job), found))


def ends_unknown_to(server: ServerView, found: Iterable[FoundAt]) -> frozenset[str]:
    """Return the names of jobs that have ended while their step runs are still running according to the server.

    For a step run whose jobs have all ended, this is the newest one. The server was unavailable when it ended, or it
    has just ended.

    Args:
        server: The server.
        found: The jobs, including finished ones.
    """
    newest: dict[str, JobSnapshot] = {}
    unfinished = set()
    for _, job in found:
        step_run_id = job.tags.get(tags.STEP_RUN_ID, "")
        if server.id is None or job.tags.get(tags.SERVER_ID) != server.id:
            continue
        if not job.phase.ended:
            unfinished.add(step_run_id)
        elif step_run_id not in newest or _created(newest[step_run_id]) < _created(job):
            newest[step_run_id] = job
    ended = newest.keys() - unfinished
    return (
        frozenset(newest[step_run].name for step_run in ended & server.unfinished_step_runs()) if ended else frozenset()
    )


def _created(job: JobSnapshot) -> datetime:
    return job.created_at or datetime.min.replace(tzinfo=timezone.utc)
