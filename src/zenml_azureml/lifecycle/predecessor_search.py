"""The search for the unfinished jobs of earlier step runs of a step, which cancels them and waits for their end.

`predecessors.py` makes the decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.predecessors import Predecessor
from zenml_azureml.retry_loop import backoff, wait_until
from zenml_azureml.run_store.job_names import job_name_of, number_named_in
from zenml_azureml.run_store.server_retries import AFTER_INTERRUPTION, Check

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

    #: An unfinished job, and the step run that it belongs to.
    Found = tuple[Predecessor, JobSnapshot]

logger = get_logger(__name__)

T = TypeVar("T")

#: Longest pause between two looks, in seconds.
_LONGEST_PAUSE = 5.0


def _nothing() -> None:
    """Do nothing."""


class Search:
    """The search for the jobs of the earlier step runs of one step run.

    Args:
        step_run: The new step run.
        settings: Its settings.
        predecessors: The earlier step runs, each once for each workspace that may have its jobs.
        time: The clock.
        check: Called during the waits; ends them by raising.

    Attributes:
        checkpoints: Address of the checkpoint folder of the newest job that has one; empty if none has.
    """

    def __init__(
        self,
        step_run: StepRunResponse,
        settings: AzureMLStepOperatorSettings,
        predecessors: list[Predecessor],
        time: Time,
        check: Check,
    ) -> None:
        self._step_run = step_run
        self._patience = timedelta(minutes=settings.max_unreachable_minutes)
        self._bound = timedelta(minutes=settings.max_cancel_minutes)
        self._predecessors = predecessors
        self._time = time
        self._check = check
        self.checkpoints = ""

    def end_all(self) -> None:
        """Cancel the jobs found by the run's tag and by name, as long as a job may still appear.

        Raises:
            AzureMLError: If a job has not ended in time, or Azure ML refuses or is unreachable.
        """
        for workspace in {id(each.workspace): each.workspace for each in self._predecessors}.values():
            self._end(self._listed_in(workspace))
        awaited = self._predecessors

        def look() -> bool:
            nonlocal awaited
            self._end(self._named(awaited))
            awaited = [each for each in awaited if each.may_have_another and self._time.monotonic() < each.until]
            return not awaited

        def report() -> None:
            logger.info(
                "Looking for %.0f s for a job of an earlier step run of `%s`, which may have been submitted just "
                "before its process was killed.",
                max(each.until for each in awaited) - self._time.monotonic(),
                self._step_run.name,
            )

        try:
            self._wait(look, max(each.until for each in self._predecessors), report)
        except AzureMLError:
            raise
        except BaseException:
            self._let_go(self._named(awaited))
            logger.warning(
                "A job of an earlier step run of `%s` may still appear. `zenml-azureml jobs list --orphans` shows it, "
                "and `zenml-azureml jobs cancel --orphans` cancels it.",
                self._step_run.name,
            )
            raise

    def look_again(self) -> None:
        """Search once more for a job that may have appeared since, and cancel it."""
        self._end(self._named(each for each in self._predecessors if each.may_have_another))

    def _listed_in(self, workspace: Workspace) -> Iterator[Found]:
        """Yield the unfinished jobs of the step in its run, by the run's tag, the oldest first."""
        by_id = {str(each.id): each for each in self._predecessors if each.workspace is workspace}
        tag = tags.of_run(self._step_run.pipeline_run_id)
        for job in reversed(self._ask("list the jobs of the run", lambda: list(workspace.list_jobs(tag)))):
            predecessor = by_id.get(job.tags.get(tags.STEP_RUN_ID, ""))
            if predecessor is not None and self._has_to_end(predecessor, job):
                yield predecessor, job

    def _named(self, predecessors: Iterable[Predecessor]) -> Iterator[Found]:
        """Yield the unfinished jobs of earlier step runs that no listing has shown yet, by their names."""
        for each in predecessors:
            while True:
                job = self._find(each, job_name_of(each.id, each.number))
                if job is not None and job.tags.get(tags.STEP_RUN_ID) == str(each.id):
                    if self._has_to_end(each, job):
                        yield each, job
                elif each.number < each.recorded_jobs:
                    each.number += 1  # this one was deleted
                else:
                    break

    def _has_to_end(self, predecessor: Predecessor, job: JobSnapshot) -> bool:
        """Note a job that was found; True if it has to end before the step is submitted."""
        self.checkpoints = job.checkpoints or self.checkpoints
        number = number_named_in(job.name)
        if number >= predecessor.number:
            predecessor.number, predecessor.status = number + 1, job.status
        if job.phase.ended:
            self._drop_secret(predecessor, job)
            return False
        if predecessor.is_held and tags.HOLD in job.tags:
            logger.info("The Azure ML job `%s` of an earlier step run is held open for its user.", job.name)
            return False
        return True

    def _end(self, found: Iterator[Found]) -> None:
        """Cancel unfinished jobs, one after the other, and wait until each has ended."""
        for predecessor, job in found:
            try:
                self._end_one(predecessor, job)
            except AzureMLError:
                raise
            except BaseException:
                self._let_go(chain([(predecessor, job)], found))
                raise

    def _end_one(self, predecessor: Predecessor, job: JobSnapshot) -> None:
        logger.warning(
            "The Azure ML job `%s` of an earlier step run of `%s` has not ended (%s). The step is submitted when it "
            "has.",
            job.name,
            self._step_run.name,
            job.status,
        )
        now = self._time.monotonic()
        predecessor.status, predecessor.found_at = job.status, now
        predecessor.asked_at, predecessor.missing = None, 0
        if not self._wait(lambda: self._has_ended(predecessor, job.name), now + self._bound.total_seconds()):
            raise AzureMLError(
                f"The step `{self._step_run.name}` is not submitted: the Azure ML job `{job.name}` of an earlier step "
                f"run of it has not ended within {self._bound.total_seconds() / 60:g} minutes (`max_cancel_minutes`). "
                f"Its status is {predecessor.status}.",
                studio_url=job.studio_url,
                hint="Cancel that job and wait for its end, then run the step again. "
                f"{predecessor.workspace.how_to_cancel(job.name)}",
            )

    def _has_ended(self, predecessor: Predecessor, name: str) -> bool:
        """Request the cancel of a job if that is due, and look at the job; True if it has ended."""
        if predecessor.is_cancel_due(self._time.monotonic()):
            self._ask(f"cancel the job `{name}`", lambda: predecessor.workspace.cancel(name))
            predecessor.asked_at = self._time.monotonic()
        job = self._find(predecessor, name)
        if job is None:
            predecessor.missing += 1
            return predecessor.missing > 1  # one answer may be wrong
        predecessor.missing, predecessor.status = 0, job.status
        if not job.phase.ended:
            return False
        logger.info("The Azure ML job `%s` has ended: %s.", job.name, job.status)
        predecessor.was_cancelled = job.phase is JobPhase.CANCELED
        self._drop_secret(predecessor, job)
        return True

    def _let_go(self, found: Iterable[Found]) -> None:
        """Cancel jobs after an interruption, and show how to check that they end, since nothing waits for them.

        Raises nothing of its own: the interruption matters more.
        """
        self._check, self._patience = _nothing, min(self._patience, AFTER_INTERRUPTION)
        try:
            for predecessor, job in found:
                self._request_cancel(predecessor.workspace, job.name)
        except AzureMLError as error:  # of the search for the next one
            logger.error("%s", error)

    @staticmethod
    def _request_cancel(workspace: Workspace, name: str) -> None:
        try:
            workspace.cancel(name)
        except AzureMLError as error:
            logger.error("%s", error)
        else:
            how = workspace.how_to_cancel(name)
            logger.warning("Cancellation of Azure ML job `%s` was requested but not confirmed. %s", name, how)

    def _drop_secret(self, predecessor: Predecessor, job: JobSnapshot) -> None:
        if not predecessor.reported:  # otherwise the process that reported the end has deleted it
            addresses = [predecessor.secret, job.tags.get(tags.VAULT_SECRET, "")]
            predecessor.workspace.secrets.drop(job.name, addresses, in_background=True)

    def _find(self, predecessor: Predecessor, name: str) -> JobSnapshot | None:
        return self._ask(f"find the job `{name}`", lambda: predecessor.workspace.find_job(name))

    def _wait(self, look: Callable[[], bool], deadline: float, on_first_pause: Check = _nothing) -> bool:
        return wait_until(
            look,
            bool,
            deadline=deadline,
            interval=lambda looks: backoff(looks, _LONGEST_PAUSE),
            time=self._time,
            check=self._check,
            on_first_pause=on_first_pause,
        )

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
