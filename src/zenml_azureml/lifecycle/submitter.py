"""Submission of a step's jobs: the first one, and those after a preemption, a lack of capacity or a queue timeout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.exceptions import RunInterruptedException, RunStoppedException
from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.exceptions import AzureMLError, NoCapacityError
from zenml_azureml.lifecycle.attempts import (
    attempt_at,
    cost_ahead,
    history_as_metadata,
    placement_from_tags,
    target_from_tags,
)
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason, number_of_jobs, short
from zenml_azureml.lifecycle.state import Event, GiveUp, JobAccepted, NoCapacity, StepPhase, SubmitFailed
from zenml_azureml.lifecycle.step_data import StepData
from zenml_azureml.run_store import job_names, step_runs
from zenml_azureml.run_store.server_retries import Check, ServerUnavailableError
from zenml_azureml.secrets.classification import secret_values
from zenml_azureml.secrets.known_values import remember
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.submission.exposure import refuse_public_secrets
from zenml_azureml.submission.resources import demands_of
from zenml_azureml.submission.secret_references import with_secrets

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.submitter import SubmittedJob
    from zenml_azureml.lifecycle.azure_jobs import AzureJobs
    from zenml_azureml.lifecycle.cost_guard import CostGuard
    from zenml_azureml.lifecycle.execution import StepExecution
    from zenml_azureml.lifecycle.predecessor_search import Search
    from zenml_azureml.specs.compute import ComputeSpec
    from zenml_azureml.submission.job_builder import JobBuilder

logger = get_logger(__name__)

#: Tags that a further job of a step does not take over.
_OF_ONE_JOB = frozenset({tags.USD_PER_HOUR, tags.RESERVED_USD, tags.COST_LIMIT})


@dataclass(frozen=True)
class Request:
    """What a step's next job is built from.

    Attributes:
        source: Builds its first job; or a spec that a further job is like.
        check: Ends the submission by raising.
        earlier: The search for the jobs of earlier step runs of the step; None if there were none.
    """

    source: JobBuilder | JobSpec
    check: Check
    earlier: Search | None = None

    def build(self, options: JobOptions, target: int) -> JobSpec:
        """Return the job.

        Args:
            options: The options of its target.
            target: Number of its target.
        """
        if isinstance(self.source, JobSpec):
            spec = replace(
                self.source,
                options=options,
                secret_names=self.source.secret_names | options.secret_variables,
                certain_secret_names=self.source.certain_secret_names | options.secret_variables,
            )
        else:
            spec = self.source.build(options, self.earlier.checkpoints if self.earlier else "")
        is_tagged = target or tags.TARGET in spec.tags
        return replace(spec, tags={**spec.tags, tags.TARGET: str(target)}) if is_tagged else spec


class StepSubmitter:
    """The submitter of one operator's jobs. Thread-safe, as its parts are.

    Args:
        component_id: Id of the operator on ZenML's server.
        jobs: The jobs of its steps.
        costs: Their cost limits.
    """

    def __init__(self, component_id: UUID, jobs: AzureJobs, costs: CostGuard) -> None:
        self._component_id = component_id
        self._jobs = jobs
        self._data = StepData(component_id)
        self._costs = costs

    def next_request(self, step: StepExecution, check: Check) -> Request:
        """Return the request for a further job of a step, like its newest one, which has ended.

        Args:
            step: The step.
            check: Ends the submission by raising.

        Raises:
            AzureMLError: If Azure does not return the job.
        """
        check()
        previous_name, number = step.job_name, number_of_jobs(step.state.attempts) + 1
        logger.warning(
            "The Azure ML job `%s` of the step `%s` has ended: %s.", previous_name, step.name, step.state.attempt.reason
        )
        previous = self._jobs.workspace(step).spec_from_job(
            previous_name, tags.STEP_RUN_ID, patience=step.plan.unreachable_timeout, check=check
        )

        kept = {key: value for key, value in previous.tags.items() if key not in _OF_ONE_JOB}
        linked = {tags.ATTEMPT: str(number), tags.PREVIOUS_JOB: previous_name, tags.TARGET: ""}
        name = job_names.job_name_of(step.id, number)
        return Request(replace(previous, name=name, tags={**kept, **linked}, price_tag=tags.USD_PER_HOUR), check)

    def submit(self, step: StepExecution, target: int, request: Request) -> Event:
        """Submit a step to a target.

        Args:
            step: The step. Its newest attempt is replaced if that has no end.
            target: Number of the target.
            request: What its job is built from.

        Returns:
            The answer of Azure.
        """
        from zenml_azureml.azure.compute.placement import supposed

        here, begun = step.plan.targets[target], ""
        place = supposed(here.resolution.compute, here.resolution.options, None).where()
        step.reservation = None
        try:
            workspace, resolution = self._jobs.workspace(step, target), with_secrets(here.resolution)
            data = self._data.prepare(step, workspace, here.resolution.options, resolution, request.check)
            wanted = request.build(data.resolution.options, target)
            remember(secret_values(wanted))
            refuse_public_secrets(wanted)
            # From now on, stopping the step cancels this job, which may exist before Azure has answered.
            step.begin(Attempt(target, begun := wanted.name))
            job = self._send(step, target, request, wanted, data.resolution.compute)
        except NoCapacityError as error:
            step.reservation = None
            says = short(error.azure_message or error.summary)
            return NoCapacity(error, Attempt(target, "", place, reason=RetryReason.NO_CAPACITY, says=says))
        except ServerUnavailableError:
            raise
        except AzureMLError as error:
            step.reservation = None
            return SubmitFailed(error, Attempt(target, begun, place))
        accepted = JobAccepted(self._record(step, job, target, data.lineage(job.studio_url)))
        if step.state.phase is StepPhase.CANCELLING:
            return accepted
        try:
            self._costs.check_again(step, target, request.check)
        except AzureMLError as error:
            return GiveUp(error)  # which cancels the job
        except (RunInterruptedException, RunStoppedException) as stop:
            logger.debug("The step `%s` is stopped: %s", step.name, stop)  # its job exists, so it is cancelled
        return accepted

    def _send(
        self, step: StepExecution, target: int, request: Request, wanted: JobSpec, compute: ComputeSpec
    ) -> SubmittedJob:
        """Place a job, bound it by its cost limits, deliver its secrets, and send it."""
        request.check()
        spendings = self._costs.spendings(step, target, wanted.name, request.check)
        workspace, settings = self._jobs.workspace(step, target), step.plan.targets[target].settings
        with workspace.placed(
            wanted,
            compute,
            demands_of(step.step_run.config.resource_settings, settings),
            delete_compute_after=settings.delete_compute_after,
            patience=step.plan.unreachable_timeout,
            check=request.check,
        ) as placed:
            bounded = self._costs.bounded(step, spendings, placed.request, placed.placement)
            ready = workspace.with_secrets_delivered(replace(placed, request=bounded))
            if request.earlier is not None:
                request.earlier.look_again()
            return workspace.send(ready)

    def _record(self, step: StepExecution, job: SubmittedJob, planned: int, lineage: Mapping[str, Any]) -> Attempt:
        """Save a job that Azure has accepted, with its data, and return its attempt."""
        # A job that already existed may be at another target than the one that this process selected.
        target = target_from_tags(job.tags, step.plan, planned)
        if target != planned:
            job = replace(job, placement=placement_from_tags(job.tags, step.plan, target))
        logger.info("Azure ML job `%s` on %s: %s", job.name, job.placement.describe(), job.studio_url)
        attempt = attempt_at(target, job.name, job.placement, job.studio_url)
        attempts = step.begin(attempt)
        # In one request: if the process is killed between two, the history lacks the jobs before this one.
        more = {**cost_ahead(attempt), **history_as_metadata(attempts), **lineage}
        step_runs.record_job(step.step_run, self._component_id, job, more)
        return attempt
