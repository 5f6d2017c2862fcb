"""The guard that keeps the jobs of steps within their cost limits."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import CostLimitError
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.cost import in_usd, usd_per_hour
from zenml_azureml.lifecycle.cost_limit import (
    SHORTEST,
    Allowance,
    Limit,
    Spending,
    affordable_time,
    allowance_of,
    exceeded_by,
    spending_of,
    tightest,
    with_pending,
)
from zenml_azureml.lifecycle.execution import Executions, Reservation, StepExecution
from zenml_azureml.lifecycle.recovery import number_of_jobs
from zenml_azureml.run_store.server_retries import Check
from zenml_azureml.specs.limits import TAG_VALUE_LENGTH, shortened

if TYPE_CHECKING:
    from zenml_azureml.azure.compute.placement import Placement
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.specs.job import JobSpec

logger = get_logger(__name__)

#: Name of the cause, a row of docs/failures.md.
CAUSE = "cost-limit"

_STEP, _RUN = "max_usd", "max_usd_per_run"

_HINTS = {
    _STEP: "Raise `max_usd`, or choose a cheaper size, fewer nodes or spot capacity.",
    _RUN: "Raise `max_usd_per_run`. If unfinished jobs have reserved too much, set `timeout_minutes` or `max_usd` for "
    "steps that run at the same time: a job without either reserves all that is left.",
}


class CostGuard:
    """The cost limits of one operator's steps.

    Thread-safe: a lock makes each thread see the reservations of the others.

    Args:
        executions: The steps.
        jobs: Their jobs.
        time: The clock.
    """

    def __init__(self, executions: Executions, jobs: AzureJobs, time: Time) -> None:
        self._executions = executions
        self._jobs = jobs
        self._time = time
        self._lock = threading.Lock()

    def spendings(self, step: StepExecution, target: int, job_name: str, check: Check) -> tuple[Spending, ...]:
        """Return what counts against the limits of a step before its next job; nothing without limits.

        Makes no request without limits, and none for the first job of a step that has no limit for its run.

        Args:
            step: The step.
            target: Number of the target.
            job_name: The next job.
            check: Ends the retries of the request by raising.

        Raises:
            CostLimitError: If nothing is left.
            AzureMLError: If the jobs of the run cannot be listed.
        """
        limits = _limits_of(step.plan.settings)
        if not limits:
            return ()
        is_first = step.step_run.version == 1 and not number_of_jobs(step.state.attempts[:-1])
        only_step = all(limit.setting == _STEP for limit in limits)
        listed = () if is_first and only_step else self._listed(step, target, check)
        jobs = [job for job in listed if job.name != job_name]
        of_step = [job for job in jobs if job.tags.get(tags.STEP) == shortened(step.name, TAG_VALUE_LENGTH)]
        known = {each.job: each.usd for each in step.state.attempts if each.job and each.ended and each.usd is not None}
        now = _now()
        found = tuple(spending_of(limit, of_step if limit.setting == _STEP else jobs, known, now) for limit in limits)
        if tightest(found).left <= 0:
            raise _refused(step, tightest(found))
        return found

    def bounded(
        self, step: StepExecution, spendings: Sequence[Spending], request: JobSpec, placement: Placement
    ) -> JobSpec:
        """Return a job within the limits of its step, and reserve what it can cost at most.

        Args:
            step: The step.
            spendings: What counts against its limits; nothing without limits.
            request: The job, with the tag for its price.
            placement: Its placement.

        Raises:
            CostLimitError: If too little is left, or if its price is unknown and the settings require one.
        """
        if not spendings:
            return request
        per_hour = usd_per_hour(request.tags)
        _report_unknown(step, spendings, placement if per_hour is None else None)
        if per_hour is None:
            return request
        with self._lock:
            pending = self._pending(step)
            current = [with_pending(each, pending) if each.limit.setting == _RUN else each for each in spendings]
            allowance = allowance_of(request.options.timeout, per_hour, current)
            if allowance is None:
                raise _refused(step, tightest(current), per_hour)
            of_run = next((each for each in current if each.limit.setting == _RUN), None)
            step.reservation = Reservation(request.name, allowance.usd, of_run)
        _report_shortened(step, allowance, request, per_hour)
        return _within(request, allowance)

    def check_again(self, step: StepExecution, target: int, check: Check) -> None:
        """Check the limit of a run after the submit of a job: another process may have submitted one meanwhile.

        Makes no request if the run has no limit.

        Args:
            step: The step, whose newest job Azure has accepted.
            target: Number of the target.
            check: Ends the retries of the request by raising.

        Raises:
            CostLimitError: If the job exceeds the limit together with those before it, so that it has to end.
            AzureMLError: If the jobs of the run cannot be listed.
        """
        reserved = step.reservation
        if reserved is None or reserved.spending is None:
            return
        over = exceeded_by(reserved.spending, reserved.job, reserved.usd, self._listed(step, target, check), _now())
        if over:
            limit = reserved.spending.limit
            raise CostLimitError(
                f"The job of step `{step.name}` was cancelled: another process submitted a job of the run at the same "
                f"time, and together they could cost {in_usd(over)} USD more than `{limit}`.",
                hint=_HINTS[limit.setting],
                cause=CAUSE,
            )

    def _listed(self, step: StepExecution, target: int, check: Check) -> tuple[JobSnapshot, ...]:
        from zenml_azureml.azure.retry import with_retries

        workspace, tag = self._jobs.workspace(step, target), tags.of_run(step.run_id)
        return with_retries(
            "list the jobs of the run, which count against its cost limit",
            lambda: tuple(workspace.list_jobs(tag)),
            step.plan.unreachable_timeout,
            self._time,
            check=check,
        )

    def _pending(self, step: StepExecution) -> Mapping[str, float]:
        """Return what other steps of the run have reserved in this process, by job."""
        others = [each.reservation for each in self._executions.of_run(step.run_id) if each is not step]
        return {each.job: each.usd for each in others if each is not None}


def bounded_as_first(
    settings: AzureMLStepOperatorSettings, request: JobSpec, per_hour: float | None
) -> tuple[JobSpec, str]:
    """Return a job within its cost limits, as the first one of its run, with a sentence about that.

    Args:
        settings: The settings of its step.
        request: The job.
        per_hour: US dollars per hour of all of its nodes; None if unknown.

    Returns:
        The job, and the sentence; the job as it is, and an empty text, without limits.
    """
    spendings = [Spending(limit) for limit in _limits_of(settings)]
    if not spendings:
        return request, ""
    names = " and ".join(f"`{each.limit}`" for each in spendings)
    if per_hour is None:
        return request, f"The price is unknown, so {names} cannot limit the job."
    allowance, price = allowance_of(request.options.timeout, per_hour, spendings), f"{in_usd(per_hour)} USD per hour"
    if allowance is None:
        return request, f"The operator would refuse the job: at {price}, {names} is not enough for the shortest time."
    minutes = "" if allowance.timeout is None else f" for {allowance.timeout.total_seconds() / 60:.1f} minutes"
    why = f", because of `{allowance.limit}`" if allowance.limit else ""
    return _within(request, allowance), (
        f"As the first job of its run, it may run{minutes}{why}, and reserves {in_usd(allowance.usd)} USD, at {price}."
    )


def _within(request: JobSpec, allowance: Allowance) -> JobSpec:
    """Return a job with the time limit and the tags of what it may use."""
    more = {tags.RESERVED_USD: f"{allowance.usd:.6f}"}
    if allowance.limit is not None:
        more[tags.COST_LIMIT] = str(allowance.limit)
    return replace(request, tags={**request.tags, **more}, options=replace(request.options, timeout=allowance.timeout))


def _limits_of(settings: AzureMLStepOperatorSettings) -> tuple[Limit, ...]:
    usd = {_STEP: settings.max_usd, _RUN: settings.max_usd_per_run}
    return tuple(Limit(setting, value) for setting, value in usd.items() if value is not None)


def _refused(step: StepExecution, spending: Spending, per_hour: float | None = None) -> CostLimitError:
    sums = spending.describe()
    if per_hour is not None:
        minutes = affordable_time(spending, per_hour).total_seconds() / 60
        sums += (
            f" At {in_usd(per_hour)} USD per hour, that is enough for {minutes:.1f} minutes, and a job gets at least "
            f"{SHORTEST.total_seconds() / 60:g}."
        )
    limit = spending.limit
    return CostLimitError(
        f"The step `{step.name}` was not submitted: its cost limit (`{limit}`) is used up. {sums}",
        hint=_HINTS[limit.setting],
        cause=CAUSE,
    )


def _report_unknown(step: StepExecution, spendings: Sequence[Spending], unpriced: Placement | None) -> None:
    """Report unknown prices.

    Args:
        step: The step.
        spendings: What counts against its limits.
        unpriced: The placement of its job if its price is unknown; otherwise None.

    Raises:
        CostLimitError: If there is an unknown price, and the settings do not accept that.
    """
    names = " and ".join(f"`{each.limit}`" for each in spendings)
    what, hint = "", ""
    if unpriced is not None:
        what = f"the price of its compute is unknown ({unpriced.describe()}), so {names} cannot limit its job"
        hint = "Name a VM size (`instance_type` or `size`) for which `zenml-azureml sizes` shows a price."
    elif unknown := max(each.unknown for each in spendings):
        what = f"the cost of {unknown} earlier or unfinished jobs is unknown, and does not count against {names}"
        hint = "`zenml-azureml jobs list --run RUN --all` shows the jobs with unknown cost."
    if not what:
        return
    if step.plan.settings.unknown_price == "fail":
        raise CostLimitError(
            f"The step `{step.name}` was not submitted: {what}.",
            hint=f"{hint} Or set `unknown_price='warn'`.",
            cause=CAUSE,
        )
    logger.warning("Step `%s`: %s. %s", step.name, what, hint)


def _report_shortened(step: StepExecution, allowance: Allowance, request: JobSpec, per_hour: float) -> None:
    if allowance.limit is None or allowance.timeout is None:
        return
    own = request.options.timeout
    instead = f" instead of {own.total_seconds() / 60:g}" if own is not None else ""
    logger.warning(
        "Step `%s`: its job may run for %.1f minutes%s, because %s USD of `%s` is left, at %s USD per hour.",
        step.name,
        allowance.timeout.total_seconds() / 60,
        instead,
        in_usd(allowance.usd),
        allowance.limit,
        in_usd(per_hour),
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
