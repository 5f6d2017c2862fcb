"""Cancellation of the unfinished jobs of earlier step runs of a step, before the step is submitted again.

ZenML gives a step a new step run when it retries it, and when its orchestrator was restarted. ZenML itself does not
cancel the job of the step run before.
"""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.exceptions import RunStoppedException

from zenml_azureml.azure.failures.rules import ENDED_ITSELF
from zenml_azureml.clock import Time
from zenml_azureml.lifecycle.attempts import recorded
from zenml_azureml.lifecycle.holding import hold_of
from zenml_azureml.lifecycle.predecessor_search import Search
from zenml_azureml.lifecycle.predecessors import IN_FLIGHT, Predecessor, superseded_for
from zenml_azureml.lifecycle.recent import Recent
from zenml_azureml.lifecycle.recovery import number_of_jobs
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import Check

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.lifecycle.execution import StepExecution
    from zenml_azureml.plugin.workspaces import OperatorWorkspaces

#: A step run, and the one that ZenML gave the step after it.
_Superseded = tuple["StepRunResponse", "StepRunResponse"]

#: Steps of which the ends of their jobs are remembered. A step that is submitted again is so soon; to have forgotten it
#: costs no more than some requests.
_REMEMBERED = 256


class EarlierJobs:
    """The jobs of earlier step runs, for the steps of one operator.

    Thread-safe: a lock guards the table of the ends that this process has seen.

    Args:
        workspaces: The workspaces of the operator, and through its stack those of the others.
        time: The clock.
    """

    def __init__(self, workspaces: OperatorWorkspaces, time: Time) -> None:
        self._workspaces = workspaces
        self._time = time
        self._lock = threading.Lock()
        self._ended: Recent[tuple[UUID, str], set[UUID]] = Recent(_REMEMBERED)

    def note_end(self, step_run: StepRunResponse) -> None:
        """Remember that a step run has no unfinished job, since this process has seen the end of its last one."""
        with self._lock:
            self._ended.setdefault((step_run.pipeline_run_id, step_run.name), set()).add(step_run.id)

    def end(self, step: StepExecution, check: Check) -> Search | None:
        """Cancel the unfinished jobs of a step's earlier step runs, and wait for their end.

        Makes no request for the first step run of a step, and none if this process has seen the ends of all earlier
        jobs.

        Args:
            step: The new step run, which has no job yet.
            check: Called during the wait; ends it by raising.

        Returns:
            The search for them, whose `look_again` is to be called right before the new job is submitted; None if there
            was nothing to search for.

        Raises:
            AzureMLError: If a job has not ended in time, or Azure ML is unreachable. No job may be submitted then.
            RunStoppedException: If a job has stopped itself, and the run is over.
        """
        step_run = step.step_run
        unseen = self._unseen(step_run)
        if not unseen:
            return None
        if any(_has_ended_itself(each) for each, _ in unseen) and (why := step_runs.over(step_run.pipeline_run_id)):
            raise RunStoppedException(
                f"The step `{step_run.name}` is not submitted again: an earlier job of it stopped itself, and {why}."
            )
        search = Search(step_run, step.plan.settings, self._predecessors(step, unseen), self._time, check)
        search.end_all()
        return search

    def _unseen(self, step_run: StepRunResponse) -> list[_Superseded]:
        """Return the earlier step runs that may have an unfinished job, as far as this process knows."""
        with self._lock:
            seen = set(self._ended.get((step_run.pipeline_run_id, step_run.name), ()))
        if len(seen - {step_run.id}) >= step_run.version - 1:
            return []
        earlier = step_runs.earlier(step_run)
        followed = zip(earlier, [*earlier[1:], step_run], strict=True)
        return [(each, following) for each, following in followed if each.id not in seen]

    def _predecessors(self, step: StepExecution, unseen: list[_Superseded]) -> list[Predecessor]:
        """Return the earlier step runs, each once for each workspace that may have its jobs."""
        now = self._time.monotonic()
        mine = self._workspaces.workspace(step.plan.settings)
        predecessors = []
        for each, following in unseen:
            age = superseded_for(step.step_run.start_time, following.start_time)
            # The operator of the step, its workspace or its cloud may have changed since.
            its_own = self._workspaces.of_step(each) or mine
            found = (its_own, its_own.of_job(step_runs.recorded_job_id(each)), mine)
            predecessors += [
                Predecessor(
                    each.id,
                    place,
                    recorded_jobs=number_of_jobs(recorded(each)) if step_runs.is_recorded(each) else 0,
                    until=now + (IN_FLIGHT - age).total_seconds(),
                    reported=each.exception_info is not None,
                    reported_by_code=step_runs.is_reported_by_code(each),
                    is_held=hold_of(each, datetime.now(timezone.utc)) is not None,
                    secret=step_runs.recorded_vault_secret(each),
                )
                for place in {id(place): place for place in found}.values()
            ]
        return predecessors


def _has_ended_itself(step_run: StepRunResponse) -> bool:
    info = step_run.exception_info
    return info is not None and not step_runs.is_reported_by_code(step_run) and ENDED_ITSELF in (info.message or "")
