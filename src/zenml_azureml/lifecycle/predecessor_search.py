"""Finds the unfinished jobs of earlier step runs of a step, cancels them and waits for their end.

`predecessors.py` makes the decisions; this module carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.predecessors import Predecessor, is_cancelled_now, may_appear
from zenml_azureml.retry_loop import backoff
from zenml_azureml.run_store.job_names import job_name_of, number_named_in
from zenml_azureml.run_store.server_retries import Check

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

logger = get_logger(__name__)

T = TypeVar("T")

#: Longest pause between two polls, in seconds.
_LONGEST_PAUSE = 5.0


@dataclass
class Trace:
    """The facts about the jobs of one earlier step run in one workspace.

    Attributes:
        predecessor: The earlier step run.
        workspace: The workspace.
        secret: Address of its recorded secret in a key vault; empty for none.
        number: Number of the next job to search for.
        status: Status of its newest job; None as long as none was found.
        cancelled: True if its newest job had not ended when it was found, and has been cancelled since.
        until: Time after which no further job can appear.
    """

    predecessor: Predecessor
    workspace: Workspace
    secret: str
    until: float
    number: int = 1
    status: str | None = None
    cancelled: bool = False

    @property
    def is_open(self) -> bool:
        """True if a further job may still appear."""
        return may_appear(self.predecessor, self.status, cancelled=self.cancelled)


@dataclass
class _Unfinished:
    """A job that has to end.

    Attributes:
        trace: The trace of its step run.
        job: The job as it was last seen.
        found_at: Time when it was found.
        asked_at: Time when its cancel was last requested; None if it was not.
        missing: Number of polls in a row in which Azure ML did not have it.
    """

    trace: Trace
    job: JobSnapshot
    found_at: float
    asked_at: float | None = None
    missing: int = 0


class Search:
    """The search for the jobs of the earlier step runs of one step run.

    Args:
        step_run: The new step run.
        settings: Its settings.
        traces: The traces of the earlier step runs.
        time: The clock.
        check: Called during the waits; ends them by raising.

    Attributes:
        checkpoints: Address of the checkpoint folder of the newest job that has one; empty if none has.
    """

    def __init__(
        self,
        step_run: StepRunResponse,
        settings: AzureMLStepOperatorSettings,
        traces: list[Trace],
        time: Time,
        check: Check,
    ) -> None:
        self._step_run = step_run
        self._patience = timedelta(minutes=settings.max_unreachable_minutes)
        self._bound = timedelta(minutes=settings.max_cancel_minutes)
        self._traces = traces
        self._time = time
        self._check = check
        self.checkpoints = ""

    def end_all(self) -> None:
        """Cancel the jobs found by the run's tag and by name, as long as a job may still appear."""
        listed = {id(trace.workspace): trace.workspace for trace in self._traces}
        unfinished = [job for place in listed.values() for job in self._listed_in(place)]
        self._end(unfinished)
        self._end(self._named(self._traces))
        for looks in count(1):
            awaited = [trace for trace in self._traces if trace.is_open and self._time.monotonic() < trace.until]
            if not awaited:
                return
            if looks == 1:
                logger.info(
                    "Looking for %.0f s for a job of an earlier step run of `%s`, which may have been submitted just "
                    "before its process was killed.",
                    max(trace.until for trace in awaited) - self._time.monotonic(),
                    self._step_run.name,
                )
            try:
                self._time.sleep(backoff(looks, _LONGEST_PAUSE))
                self._check()
            except BaseException:
                self._check = _nothing
                self._let_go(self._named(awaited))
                logger.warning(
                    "A job of an earlier step run of `%s` may still appear. `zenml-azureml jobs list --orphans` shows "
                    "it, and `zenml-azureml jobs cancel --orphans` cancels it.",
                    self._step_run.name,
                )
                raise
            self._end(self._named(awaited))

    def look_again(self) -> None:
        """Search once more for a job that may have appeared since, and cancel it."""
        self._end(self._named([trace for trace in self._traces if trace.is_open]))

    def _listed_in(self, workspace: Workspace) -> list[_Unfinished]:
        """Return the unfinished jobs of the step in its run, by the run's tag, and note all its jobs in the traces."""
        by_id = {str(trace.predecessor.id): trace for trace in self._traces if trace.workspace is workspace}
        tag = tags.of_run(self._step_run.pipeline_run_id)
        jobs = self._ask("list the jobs of the run", lambda: list(workspace.list_jobs(tag)))
        found = []
        for job in reversed(jobs):  # the oldest first
            trace = by_id.get(job.tags.get(tags.STEP_RUN_ID, ""))
            if trace is not None:
                found += self._note(trace, job)
        return found

    def _named(self, traces: Iterable[Trace]) -> list[_Unfinished]:
        """Return the unfinished jobs of earlier step runs that no listing has shown yet, by their names."""
        found = []
        for trace in traces:
            while True:
                name = job_name_of(trace.predecessor.id, trace.number)
                job = self._find(trace.workspace, name)
                if job is not None and job.tags.get(tags.STEP_RUN_ID) == str(trace.predecessor.id):
                    found += self._note(trace, job)
                elif trace.number < trace.predecessor.jobs:
                    trace.number += 1  # this one was deleted
                else:
                    break
        return found

    def _note(self, trace: Trace, job: JobSnapshot) -> list[_Unfinished]:
        self.checkpoints = job.checkpoints or self.checkpoints
        number = number_named_in(job.name)
        if number >= trace.number:
            trace.number, trace.status = number + 1, job.status
        if job.phase.ended:
            self._drop_secret(trace, job)
            return []
        if trace.predecessor.is_held and tags.HOLD in job.tags:
            logger.info("The Azure ML job `%s` of an earlier step run is held open for its user.", job.name)
            return []
        return [_Unfinished(trace, job, self._time.monotonic())]

    def _end(self, unfinished: list[_Unfinished]) -> None:
        """Cancel jobs and wait until they have ended.

        Raises:
            AzureMLError: If a job has not ended in time, or Azure ML refuses.
        """
        for each in unfinished:
            logger.warning(
                "The Azure ML job `%s` of an earlier step run of `%s` has not ended (%s). The step is submitted when "
                "it has.",
                each.job.name,
                self._step_run.name,
                each.job.status,
            )
        waiting, looks = list(unfinished), 0
        try:
            while waiting:
                for each in waiting:
                    self._cancel_if_due(each)
                looks += 1
                self._time.sleep(backoff(looks, _LONGEST_PAUSE))
                self._check()
                waiting = [each for each in waiting if not self._has_ended(each)]
                if waiting and self._time.monotonic() - waiting[0].found_at >= self._bound.total_seconds():
                    raise self._not_ended(waiting[0])
        except AzureMLError:
            raise
        except BaseException:
            self._let_go(waiting)
            raise

    def _cancel_if_due(self, unfinished: _Unfinished) -> None:
        now = self._time.monotonic()
        waited = timedelta(seconds=now - unfinished.found_at)
        asked = None if unfinished.asked_at is None else timedelta(seconds=now - unfinished.asked_at)
        if is_cancelled_now(unfinished.trace.predecessor, unfinished.job.status, waited, asked):
            name, place = unfinished.job.name, unfinished.trace.workspace
            self._ask(f"cancel the job `{name}`", lambda: place.cancel(name))
            unfinished.asked_at = self._time.monotonic()

    def _has_ended(self, unfinished: _Unfinished) -> bool:
        job = self._find(unfinished.trace.workspace, unfinished.job.name)
        if job is None:
            unfinished.missing += 1
            return unfinished.missing > 1  # one answer may be wrong
        unfinished.missing, unfinished.job = 0, job
        if not job.phase.ended:
            return False
        logger.info("The Azure ML job `%s` has ended: %s.", job.name, job.status)
        trace = unfinished.trace
        trace.status, trace.cancelled = job.status, job.phase is JobPhase.CANCELED
        self._drop_secret(trace, job)
        return True

    def _let_go(self, waiting: list[_Unfinished]) -> None:
        """Cancel the remaining jobs, and show how to check that they end, since the operator stops waiting for them."""
        for each in waiting:
            try:
                if each.asked_at is None:
                    each.trace.workspace.cancel(each.job.name)
            except AzureMLError as error:
                logger.error("%s", error)
                continue
            logger.warning(
                "Cancellation of Azure ML job `%s` was requested but not confirmed. %s",
                each.job.name,
                each.trace.workspace.how_to_cancel(each.job.name),
            )

    def _not_ended(self, unfinished: _Unfinished) -> AzureMLError:
        job = unfinished.job
        return AzureMLError(
            f"The step `{self._step_run.name}` is not submitted: the Azure ML job `{job.name}` of an earlier step run "
            f"of it has not ended within {self._bound.total_seconds() / 60:g} minutes (`max_cancel_minutes`). Its "
            f"status is {job.status}.",
            studio_url=job.studio_url,
            hint="Cancel that job and wait for its end, then run the step again. "
            f"{unfinished.trace.workspace.how_to_cancel(job.name)}",
        )

    def _drop_secret(self, trace: Trace, job: JobSnapshot) -> None:
        if not trace.predecessor.reported:  # otherwise the process that reported the end has deleted it
            addresses = [trace.secret, job.tags.get(tags.VAULT_SECRET, "")]
            trace.workspace.secrets.drop(job.name, addresses, in_background=True)

    def _find(self, workspace: Workspace, name: str) -> JobSnapshot | None:
        return self._ask(f"find the job `{name}`", lambda: workspace.find_job(name))

    def _ask(self, action: str, work: Callable[[], T]) -> T:
        from zenml_azureml.azure.retry import with_retries

        try:
            return with_retries(action, work, self._patience, self._time, check=self._check)
        except AzureMLError as error:
            raise AzureMLError(
                f"The step `{self._step_run.name}` is not submitted, because an earlier step run of it may still have "
                f"an unfinished job. {error.summary}",
                azure_message=error.azure_message,
                hint="`zenml-azureml jobs list` shows the unfinished jobs once Azure can be reached, and "
                "`zenml-azureml jobs cancel` cancels them. Then run the step again.",
            ) from error


def _nothing() -> None:
    """Do nothing."""
