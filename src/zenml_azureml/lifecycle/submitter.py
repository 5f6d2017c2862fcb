"""Submits a step again whose job was preempted, got no machines or waited for too long: here, or at the next place.

`recovery.py` decides; this does what it decides. A step's next job is submitted when the one before has been seen to
have ended, never earlier.
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
from zenml_azureml.settings.plan import number_of_targets, resolve, settings_of
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.submission.exposure import refuse_public_secrets
from zenml_azureml.submission.job_builder import resources_of
from zenml_azureml.submission.secret_references import with_secrets

if TYPE_CHECKING:
    from typing import Any

    from zenml.models import StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.azure.jobs.submitter import SubmittedJob
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

logger = get_logger(__name__)

#: Time after which a cancel that had no effect is asked for again.
_CANCEL_AGAIN = timedelta(seconds=60)

#: How long a job may have run that got its machines when it was just being cancelled for having waited for them.
_CANCEL_TAKES = timedelta(minutes=2)

#: So much of Azure's words is kept of each attempt.
_LONGEST_WORDS = 300

Check = Callable[[], None]


class Operator(Protocol):
    """What is needed of the step operator."""

    @property
    def id(self) -> UUID:
        """Its id on ZenML's server."""

    def get_settings(self, container: Any) -> AzureMLStepOperatorSettings:
        """The settings in force for a step."""

    def workspace(self, settings: AzureMLStepOperatorSettings) -> Workspace:
        """The workspace that they lead to."""


class StepSubmitter:
    """The submissions of one operator's steps.

    Thread-safe as `Attempts` is: ZenML waits for a step, or asks for its status, on one thread at a time.

    Args:
        operator: The step operator.
        attempts: Where the attempts are kept.
        time: Where the time comes from.
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
        """Submit a step for the first time, to the first of its places that has room for it.

        Args:
            step_run: The step run.
            request: Its job with the options of a place.
            check: Ends it by raising.
            before: Called right before a job is sent; ends it by raising.

        Raises:
            AzureMLError: If it cannot be submitted.
        """

        def request_at(options: JobOptions, target: int) -> JobSpec:
            wanted = request(options)
            return replace(wanted, tags={**wanted.tags, tags.TARGET: str(target)}) if target else wanted

        return self._submit(step_run, (), 0, request_at, check, before=before)

    def timeout(self, step_run: StepRunResponse) -> timedelta:
        """Return for how long Azure and ZenML's server may be unavailable before a step is given up."""
        return timedelta(minutes=self._operator.get_settings(step_run).max_unreachable_minutes)

    def history(self, step_run: StepRunResponse) -> str:
        """Return the attempts before the last one, in lines; empty if there were none."""
        return history(self._attempts.of(step_run))

    def how_to_wait(self, step_run: StepRunResponse) -> str:
        """Return the command that waits for the newest job of a step, or publishes its end."""
        cloud = self._operator.get_settings(step_run).cloud
        return f"zenml-azureml jobs wait {self._attempts.job_name(step_run)}{f' --cloud {cloud}' if cloud else ''}"

    def reason(self, step_run: StepRunResponse, job: JobHandle) -> RetryReason | None:
        """Why a step is to be submitted again; None if its job has had its say.

        Args:
            step_run: The step run.
            job: Its newest job, which is settled.
        """
        attempts = self._known(step_run, job)
        reason = reason_of_end(job, attempts[-1])
        if reason is None or next_target(attempts, reason, self._limits(step_run)) is None:
            return None
        # A step that has reported its end has ended, whatever became of its job: ZenML takes no second end.
        return reason if not step_runs.has_reported(step_run) else None

    def submit_again(self, step_run: StepRunResponse, job: JobHandle, reason: RetryReason, check: Check) -> None:
        """Submit a step again whose newest job has ended.

        Args:
            step_run: The step run.
            job: That job, which is settled.
            reason: Why.
            check: Ends it by raising.

        Raises:
            AzureMLError: If it cannot be submitted at any of the places that are left; with all that was tried.
        """
        settings = self._operator.get_settings(step_run)
        workspace = self._operator.workspace(settings)
        patience = timedelta(minutes=settings.max_unreachable_minutes)
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
        assert target is not None  # noqa: S101 - that is what `reason` is for
        logger.warning("The Azure ML job `%s` of the step `%s` has ended: %s.", job.name, step_run.name, reason)
        self._submit(step_run, attempts, target, request, check)
        try:
            workspace.release(job.name)
        except AzureMLError as error:
            logger.warning("%s", error)

    def waits_too_long(self, step_run: StepRunResponse, job: JobHandle) -> bool:
        """Whether a job has waited for its compute for longer than it may, or was given up for that before."""
        if job.phase not in (JobPhase.WAITING, JobPhase.PREPARING):
            return False
        return self._is_given_up(step_run) or self._overdue(step_run, job) is not None

    def last_wait(self, step_run: StepRunResponse, job: JobHandle) -> AzureMLError | None:
        """Why the step of such a job is to be given up, with all that was tried; None where there is another place."""
        attempts = self._known(step_run, job)
        if next_target(attempts, RetryReason.QUEUE_TIMEOUT, self._limits(step_run)) is not None:
            return None
        late = self._overdue(step_run, job)
        return late and late.with_history(history(closed(attempts, RetryReason.QUEUE_TIMEOUT)))

    def end_waiting(self, step_run: StepRunResponse, job: JobHandle) -> None:
        """Cancel such a job, so that its step can be submitted to the next place when it has ended.

        Raises:
            AzureMLError: If Azure refuses; the message says how to do it by hand.
        """
        if not self._is_given_up(step_run):
            # Before the cancel: whoever finds a job that was canceled has to know why.
            self._attempts.put(step_run, closed(self._known(step_run, job), RetryReason.QUEUE_TIMEOUT))
            self._attempts.save(step_run, self._operator.id)
            seconds = job.waited.total_seconds()
            logger.warning("The Azure ML job `%s` has waited for its compute for %.0f s.", job.name, seconds)
        now = self._time.monotonic()
        if now - self._cancelled_at.get(job.name, -math.inf) >= _CANCEL_AGAIN.total_seconds():
            self._cancelled_at[job.name] = now
            self._operator.workspace(self._operator.get_settings(step_run)).cancel(job.name)

    def _is_given_up(self, step_run: StepRunResponse) -> bool:
        return self._attempts.of(step_run)[-1].reason is RetryReason.QUEUE_TIMEOUT

    def _overdue(self, step_run: StepRunResponse, job: JobHandle) -> AzureMLError | None:
        target = self._known(step_run, job)[-1].target
        minutes = settings_of(self._operator.get_settings(step_run), target).queue_timeout_minutes
        return overdue(job, None if minutes is None else timedelta(minutes=minutes))

    def finish(self, step_run: StepRunResponse, job: JobHandle) -> str:
        """Save what a step has cost whose last job has ended.

        Args:
            step_run: The step run.
            job: That job, which is settled.

        Returns:
            What was tried before that job, in lines; empty if nothing was.
        """
        attempts = self._known(step_run, job)
        if job.error is None:
            attempts = _ended(attempts, job, reason_of_end(job, attempts[-1]))
            self._attempts.put(step_run, attempts)
            # Where the process that submitted it was killed before it could save it.
            ahead = {} if step_runs.is_recorded(step_run) else {**step_runs.facts_of(job), **cost_ahead(attempts[-1])}
            try:
                self._attempts.save(step_run, self._operator.id, ahead)
            except ServerUnavailableError:
                raise  # the end of the step cannot be saved either
            except Exception as error:  # noqa: BLE001 - how the step ended is worth more than what it cost
                logger.warning("The cost of the step `%s` could not be saved: %s", step_run.name, error)
        return history(attempts)

    def _known(self, step_run: StepRunResponse, job: JobHandle) -> tuple[Attempt, ...]:
        """The attempts of a step, with what its newest job tells of the last one."""
        *before, last = self._attempts.of(step_run)
        if last.place:
            return (*before, last)
        found = attempt_from_job(job, last, self._operator.get_settings(step_run))
        if found is not last:
            self._attempts.put(step_run, (*before, found))
        return (*before, found)

    def release(self, step_run: StepRunResponse) -> None:
        """Stop watching the jobs of a step, and delete the computes that were created for it and not to stay.

        Raises:
            AzureMLError: If a compute cannot be deleted; the message says how to do it by hand.
        """
        workspace = self._operator.workspace(self._operator.get_settings(step_run))
        for name in {attempt.job for attempt in self._attempts.of(step_run)} | {self._attempts.job_name(step_run)}:
            if name:
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
        """Submit a step to a place, or to the next ones where that has no room for it."""
        from zenml_azureml.azure.compute.placement import Demands, supposed

        settings = self._operator.get_settings(step_run)
        while True:
            here = settings_of(settings, target)
            resolution = with_secrets(resolve(here))
            wanted = request(resolution.options, target)
            remember(secret_values(wanted))
            refuse_public_secrets(wanted)
            # From now on it is this job that is ended with the step, and it may be there before anybody knows.
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
                says = _short(error.azure_message or error.what)
                where = supposed(resolution.compute, resolution.options, None).where()
                attempts = (*attempts, Attempt(target, "", where, reason=RetryReason.NO_CAPACITY, says=says))
                following = next_target(attempts, RetryReason.NO_CAPACITY, self._limits(step_run))
                if following is None:
                    raise error.with_history(history(attempts)) from error
                logger.warning("The step `%s` is submitted to the next place: %s", step_run.name, says)
                target = following
                continue
            # One that was there already may be where this process would not have submitted it any more.
            planned, target = target, target_from_tags(job.tags, settings, target)
            if target != planned:
                job = replace(job, placement=placement_from_tags(job.tags, settings, target))
            logger.info("Azure ML job `%s` on %s: %s", job.name, job.placement.describe(), job.studio_url)
            attempt = _attempt(job, target)
            attempts = (*attempts, attempt)
            self._attempts.put(step_run, attempts)
            # At once: the process may be killed between two requests, and a job without those before it misleads.
            more = {**cost_ahead(attempt), **history_as_metadata(attempts)}
            step_runs.record_job(step_run, self._operator.id, job, more)
            return job

    def _limits(self, step_run: StepRunResponse) -> Limits:
        settings = self._operator.get_settings(step_run)
        return Limits(number_of_targets(settings), settings.max_preemptions)


def reason_of_end(job: JobHandle, attempt: Attempt) -> RetryReason | None:
    """Why a step may be submitted again, by the end of its job; None if it may not.

    Args:
        job: The job, which is settled.
        attempt: What is known of it.
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
    # Cancelled from here while it waited, or began to run just then; one that ran on, somebody else has cancelled.
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
