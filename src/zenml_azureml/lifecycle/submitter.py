"""Submits steps, and resubmits those whose job was preempted, found no capacity or was queued for too long.

`recovery.py` selects the target; this module submits to it. It submits a step's next job only when the job before has
ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.azure.jobs.status import JobPhase
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError, NoCapacityError
from zenml_azureml.lifecycle.adoption import attempt_from_job, placement_from_tags, target_from_tags
from zenml_azureml.lifecycle.attempts import Attempts, cost_ahead, history_as_metadata
from zenml_azureml.lifecycle.outcome import ended_itself, overdue
from zenml_azureml.lifecycle.recovery import Attempt, Limits, RetryReason, closed, history, next_target, number_of_jobs
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError
from zenml_azureml.secrets.classification import secret_values
from zenml_azureml.secrets.known_values import remember
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.submission.exposure import refuse_public_secrets
from zenml_azureml.submission.job_builder import resources_of
from zenml_azureml.submission.secret_references import with_secrets

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.azure.jobs.submitter import SubmittedJob
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.settings.step_plan import StepPlan

logger = get_logger(__name__)

#: Time after which a cancel that had no effect is requested again.
_CANCEL_AGAIN = timedelta(seconds=60)

#: Longest run of a job that started while the operator cancelled it for its queue timeout.
_CANCEL_TAKES = timedelta(minutes=2)

#: Longest part of Azure's message that is stored with an attempt, in characters.
_LONGEST_WORDS = 300

Check = Callable[[], None]


class Operator(Protocol):
    """The part of the step operator that the submitter uses."""

    @property
    def id(self) -> UUID:
        """Its id on ZenML's server."""

    def plan(self, step_run: StepRunResponse) -> StepPlan:
        """Return the settings of a step, which are resolved once."""

    def workspace(self, settings: AzureMLStepOperatorSettings) -> Workspace:
        """Return the workspace that settings select."""


class StepSubmitter:
    """The submissions of one operator's steps.

    Thread-safe as `Attempts` is: ZenML waits for a step, or polls its status, on one thread at a time.

    Args:
        operator: The step operator.
        attempts: The table of attempts.
        time: The clock.
    """

    def __init__(self, operator: Operator, attempts: Attempts, time: Time) -> None:
        self._operator = operator
        self._attempts = attempts
        self._time = time
        self._cancelled_at: dict[str, float] = {}

    def submit(
        self,
        step_run: StepRunResponse,
        request: Callable[[JobOptions], JobSpec],
        check: Check,
        before: Check = lambda: None,
    ) -> SubmittedJob:
        """Submit a step for the first time, to its first target that has capacity.

        Args:
            step_run: The step run.
            request: Returns its job with the options of a target.
            check: Ends the submission by raising.
            before: Called right before a job is sent; ends the submission by raising.

        Raises:
            AzureMLError: If the step cannot be submitted.
        """

        def request_at(options: JobOptions, target: int) -> JobSpec:
            wanted = request(options)
            return replace(wanted, tags={**wanted.tags, tags.TARGET: str(target)}) if target else wanted

        return self._submit(step_run, (), 0, request_at, check, before=before)

    def timeout(self, step_run: StepRunResponse) -> timedelta:
        """Return the time for which Azure and ZenML's server may be unavailable before a step fails."""
        return self._operator.plan(step_run).unreachable_timeout

    def history(self, step_run: StepRunResponse) -> str:
        """Return the attempts to run a step, one line each; empty if there was only one."""
        return history(self._attempts.of(step_run))

    def how_to_wait(self, step_run: StepRunResponse) -> str:
        """Return the command that waits for the newest job of a step, or publishes its end."""
        cloud = self._operator.plan(step_run).settings.cloud
        return f"zenml-azureml jobs wait {self._attempts.job_name(step_run)}{f' --cloud {cloud}' if cloud else ''}"

    def reason(self, step_run: StepRunResponse, job: JobHandle) -> RetryReason | None:
        """Return why a step is to be resubmitted; None if the end of its job is final.

        Args:
            step_run: The step run.
            job: Its newest job, which is settled.
        """
        attempts = self._known(step_run, job)
        reason = reason_of_end(job, attempts[-1])
        if reason is None or next_target(attempts, reason, self._limits(step_run)) is None:
            return None
        # A step that has reported its end has ended, whatever happens to its job: ZenML accepts no second end.
        return reason if not step_runs.has_reported(step_run) else None

    def submit_again(self, step_run: StepRunResponse, job: JobHandle, reason: RetryReason, check: Check) -> None:
        """Resubmit a step whose newest job has ended.

        Args:
            step_run: The step run.
            job: That job, which is settled.
            reason: The reason.
            check: Ends the submission by raising.

        Raises:
            AzureMLError: If none of the remaining targets accepts the step. It lists all attempts.
        """
        workspace, patience = self._workspace(step_run), self.timeout(step_run)
        attempts = _ended(self._known(step_run, job), job, reason)
        self._attempts.put(step_run, attempts)
        check()
        previous = workspace.spec_from_job(job.name, tags.STEP_RUN_ID, patience=patience, check=check)
        number = number_of_jobs(attempts) + 1

        def request(options: JobOptions, target: int) -> JobSpec:
            linked = {tags.ATTEMPT: str(number), tags.PREVIOUS_JOB: job.name, tags.TARGET: str(target)}
            name = step_runs.job_name_of(step_run.id, number)
            kept = {key: value for key, value in previous.tags.items() if key != tags.USD_PER_HOUR}
            return replace(
                previous,
                name=name,
                tags={**kept, **linked},
                options=options,
                price_tag=tags.USD_PER_HOUR,
                secret_names=previous.secret_names | options.secret_variables,
                certain_secret_names=previous.certain_secret_names | options.secret_variables,
            )

        target = next_target(attempts, reason, self._limits(step_run))
        assert target is not None  # noqa: S101 - `reason` has checked that there is one
        logger.warning("The Azure ML job `%s` of the step `%s` has ended: %s.", job.name, step_run.name, reason)
        self._submit(step_run, attempts, target, request, check)
        try:
            workspace.release(job.name)
        except AzureMLError as error:
            logger.warning("%s", error)

    def waits_too_long(self, step_run: StepRunResponse, job: JobHandle) -> bool:
        """Return True if a job has exceeded its queue timeout, now or at an earlier poll."""
        if job.phase not in (JobPhase.WAITING, JobPhase.PREPARING):
            return False
        return self._is_given_up(step_run) or self._overdue(step_run, job) is not None

    def last_wait(self, step_run: StepRunResponse, job: JobHandle) -> AzureMLError | None:
        """Return why the step of such a job fails, with all attempts; None if another target is left."""
        attempts = self._known(step_run, job)
        if next_target(attempts, RetryReason.QUEUE_TIMEOUT, self._limits(step_run)) is not None:
            return None
        late = self._overdue(step_run, job)
        return late and late.with_history(history(closed(attempts, RetryReason.QUEUE_TIMEOUT)))

    def end_waiting(self, step_run: StepRunResponse, job: JobHandle) -> None:
        """Cancel such a job, so that its step can be resubmitted to the next fallback when it has ended.

        Raises:
            AzureMLError: If Azure refuses. The message has the command that cancels the job.
        """
        if not self._is_given_up(step_run):
            # Before the cancel: another process that finds the canceled job needs the reason.
            self._attempts.put(step_run, closed(self._known(step_run, job), RetryReason.QUEUE_TIMEOUT))
            self._attempts.save(step_run, self._operator.id)
            seconds = job.waited.total_seconds()
            logger.warning("Azure ML job `%s` was still queued after %.0f s; cancelling it.", job.name, seconds)
        now = self._time.monotonic()
        if now - self._cancelled_at.get(job.name, -math.inf) >= _CANCEL_AGAIN.total_seconds():
            self._cancelled_at[job.name] = now
            self._workspace(step_run).cancel(job.name)

    def _is_given_up(self, step_run: StepRunResponse) -> bool:
        return self._attempts.of(step_run)[-1].reason is RetryReason.QUEUE_TIMEOUT

    def _overdue(self, step_run: StepRunResponse, job: JobHandle) -> AzureMLError | None:
        target = self._known(step_run, job)[-1].target
        return overdue(job, self._operator.plan(step_run).targets[target].queue_timeout)

    def _workspace(self, step_run: StepRunResponse) -> Workspace:
        return self._operator.workspace(self._operator.plan(step_run).settings)

    def finish(self, step_run: StepRunResponse, job: JobHandle) -> str:
        """Save the cost of a step whose last job has ended.

        Args:
            step_run: The step run.
            job: That job, which is settled.

        Returns:
            All attempts to run the step, one line each; empty if there was only one.
        """
        attempts = self._known(step_run, job)
        if job.error is None:
            attempts = _ended(attempts, job, reason_of_end(job, attempts[-1]))
            self._attempts.put(step_run, attempts)
            # If the process that submitted the job was killed before it could save it.
            ahead = {} if step_runs.is_recorded(step_run) else {**step_runs.facts_of(job), **cost_ahead(attempts[-1])}
            try:
                self._attempts.save(step_run, self._operator.id, ahead)
            except ServerUnavailableError:
                raise  # the end of the step cannot be saved either
            except Exception as error:  # noqa: BLE001 - how the step ended is worth more than what it cost
                logger.warning("Could not save the cost of the step `%s`: %s", step_run.name, error)
        return history(attempts)

    def _known(self, step_run: StepRunResponse, job: JobHandle) -> tuple[Attempt, ...]:
        """Return the attempts of a step, the last one completed from the tags of its newest job."""
        *before, last = self._attempts.of(step_run)
        if last.place:
            return (*before, last)
        found = attempt_from_job(job, last, self._operator.plan(step_run))
        if found is not last:
            self._attempts.put(step_run, (*before, found))
        return (*before, found)

    def release(self, step_run: StepRunResponse) -> None:
        """Stop watching the jobs of a step, and delete the computes that `delete_compute_after` applies to.

        Raises:
            AzureMLError: If a compute cannot be deleted. The message has the command that deletes it.
        """
        workspace = self._workspace(step_run)
        for name in {attempt.job for attempt in self._attempts.of(step_run)} | {self._attempts.job_name(step_run)}:
            if name:
                self._cancelled_at.pop(name, None)
                workspace.release(name)

    def _submit(
        self,
        step_run: StepRunResponse,
        attempts: tuple[Attempt, ...],
        target: int,
        request: Callable[[JobOptions, int], JobSpec],
        check: Check,
        *,
        before: Check = lambda: None,
    ) -> SubmittedJob:
        """Submit a step to a target, or to the following ones if that has no capacity."""
        from zenml_azureml.azure.compute.placement import Demands, supposed

        plan = self._operator.plan(step_run)
        while True:
            here = plan.targets[target].settings
            resolution = with_secrets(plan.targets[target].resolution)
            wanted = request(resolution.options, target)
            remember(secret_values(wanted))
            refuse_public_secrets(wanted)
            # From now on, stopping the step cancels this job, which may exist before Azure has answered.
            self._attempts.put(step_run, (*attempts, Attempt(target, wanted.name)))
            check()
            try:
                job = self._operator.workspace(here).submit(
                    wanted,
                    resolution.compute,
                    Demands(resources_of(step_run.config.resource_settings), here.quota_check),
                    delete_compute_after=here.delete_compute_after,
                    patience=timedelta(minutes=here.max_unreachable_minutes),
                    check=check,
                    before=before,
                )
            except NoCapacityError as error:
                says = _short(error.azure_message or error.summary)
                where = supposed(resolution.compute, resolution.options, None).where()
                attempts = (*attempts, Attempt(target, "", where, reason=RetryReason.NO_CAPACITY, says=says))
                following = next_target(attempts, RetryReason.NO_CAPACITY, self._limits(step_run))
                if following is None:
                    raise error.with_history(history(attempts)) from error
                logger.warning("No capacity for step `%s`; trying fallback %d: %s", step_run.name, following, says)
                target = following
                continue
            # A job that already existed may be at another target than the one that this process selected.
            planned, target = target, target_from_tags(job.tags, plan, target)
            if target != planned:
                job = replace(job, placement=placement_from_tags(job.tags, plan, target))
            logger.info("Azure ML job `%s` on %s: %s", job.name, job.placement.describe(), job.studio_url)
            attempt = _attempt(job, target)
            attempts = (*attempts, attempt)
            self._attempts.put(step_run, attempts)
            # In one request: if the process is killed between two, the history lacks the jobs before this one.
            more = {**cost_ahead(attempt), **history_as_metadata(attempts)}
            step_runs.record_job(step_run, self._operator.id, job, more)
            return job

    def _limits(self, step_run: StepRunResponse) -> Limits:
        plan = self._operator.plan(step_run)
        return Limits(len(plan.targets), plan.settings.max_preemptions)


def reason_of_end(job: JobHandle, attempt: Attempt) -> RetryReason | None:
    """Return why a step may be resubmitted, by the end of its job; None if it may not.

    Args:
        job: The job, which is settled.
        attempt: Its attempt.
    """
    from zenml_azureml.azure.failures.classifier import is_lack_of_capacity, is_preemption

    if job.error is not None or job.details is None or ended_itself(job):
        return None
    if job.phase is JobPhase.FAILED:
        if is_preemption(job.details.error):
            return RetryReason.PREEMPTED
        return RetryReason.NO_CAPACITY if is_lack_of_capacity(job.details.error) else None
    if job.phase is not JobPhase.CANCELED or attempt.reason is not RetryReason.QUEUE_TIMEOUT:
        return None
    # The operator cancelled it while it was queued or had just started. Another client cancelled one that ran longer.
    started, ended = job.details.started, job.details.ended
    ran_into_it = started is not None and ended is not None and ended - started < _CANCEL_TAKES
    return RetryReason.QUEUE_TIMEOUT if started is None or ran_into_it else None


def _ended(attempts: Sequence[Attempt], job: JobHandle, reason: RetryReason | None) -> tuple[Attempt, ...]:
    details = job.details
    if details is None:
        return closed(attempts, reason)
    return closed(attempts, reason, says=_short(details.error), started=details.started, ended=details.ended)


def _attempt(job: SubmittedJob, target: int) -> Attempt:
    return Attempt(
        target,
        job.name,
        place=job.placement.where(),
        size=job.placement.size,
        usd_per_hour=job.placement.usd_per_hour,
        studio_url=job.studio_url,
    )


def _short(words: str) -> str:
    one_line = " ".join(words.split())
    return one_line if len(one_line) <= _LONGEST_WORDS else f"{one_line[:_LONGEST_WORDS]}..."
