"""The cost limits of a step and of a run: what counts against them, and what a job may still use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from math import floor
from typing import TYPE_CHECKING

from zenml_azureml.lifecycle.cost import in_usd, reserved_usd, usd_of, usd_per_hour
from zenml_azureml.specs.limits import JOB_LIFETIME

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot

#: Shortest time for which a limit lets a job run. In less, most images are not even pulled.
SHORTEST = timedelta(minutes=5)

#: Amount in US dollars by which a sum may exceed a limit, because amounts in tags are rounded.
TOLERANCE = 0.0001

#: Differences that only come from the arithmetic of floating-point numbers.
_NOTHING = 1e-9

_HOUR = 3600.0
_LAST = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Limit:
    """A cost limit in a step's settings.

    Attributes:
        setting: Its name, `max_usd` or `max_usd_per_run`.
        usd: US dollars.
    """

    setting: str
    usd: float

    def __str__(self) -> str:
        return f"{self.setting}={self.usd:g}"


@dataclass(frozen=True)
class Spending:
    """A limit, and what counts against it.

    Attributes:
        limit: The limit.
        spent: US dollars that ended jobs have cost.
        reserved: US dollars that unfinished jobs can cost at most.
        unknown: Number of jobs whose cost is not known; it does not count.
        jobs: Names of all jobs that were considered.
    """

    limit: Limit
    spent: float = 0.0
    reserved: float = 0.0
    unknown: int = 0
    jobs: frozenset[str] = frozenset()

    @property
    def left(self) -> float:
        """US dollars that are left."""
        return max(0.0, self.limit.usd - self.spent - self.reserved)

    def describe(self) -> str:
        """Return the sums as a sentence."""
        without = f", without {self.unknown} {_jobs(self.unknown)} of unknown cost" if self.unknown else ""
        return (
            f"Of {in_usd(self.limit.usd)} USD, ended jobs have cost {in_usd(self.spent)} and unfinished jobs have "
            f"reserved {in_usd(self.reserved)}{without}, so {in_usd(self.left)} USD is left."
        )


@dataclass(frozen=True)
class Allowance:
    """What a job may use.

    Attributes:
        timeout: Its time limit; None for none but Azure's own.
        usd: US dollars that it can cost at most.
        limit: The cost limit that has shortened its time limit; None if none has.
    """

    timeout: timedelta | None
    usd: float
    limit: Limit | None = None


def most_of(job: JobSnapshot, now: datetime) -> float | None:
    """Return what a job has cost, or can still cost at most, in US dollars; None if unknown.

    Args:
        job: The job.
        now: The time.
    """
    reserved = reserved_usd(job.tags)
    if job.phase.ended:
        cost = usd_of(job, now)
        if cost is not None:
            return cost
        per_hour = usd_per_hour(job.tags)
        if per_hour is None or job.started is None:
            return reserved
        # Azure has not stored its end yet.
        until_now = _cost(now - job.started, per_hour)
        return until_now if reserved is None else min(reserved, until_now)
    if reserved is not None:
        return reserved
    per_hour = usd_per_hour(job.tags)
    return None if per_hour is None else _cost(job.timeout or JOB_LIFETIME, per_hour)


def spending_of(limit: Limit, jobs: Iterable[JobSnapshot], known: Mapping[str, float], now: datetime) -> Spending:
    """Return what jobs count against a limit.

    Args:
        limit: The limit.
        jobs: The jobs.
        known: Costs of ended jobs that this process knows better than the listing of jobs, by name.
        now: The time.
    """
    spending = Spending(limit)
    for job in jobs:
        usd = known.get(job.name)
        ended = usd is not None or job.phase.ended
        usd = most_of(job, now) if usd is None else usd
        spending = replace(spending, jobs=spending.jobs | {job.name})
        if usd is None:
            spending = replace(spending, unknown=spending.unknown + 1)
        elif ended:
            spending = replace(spending, spent=spending.spent + usd)
        else:
            spending = replace(spending, reserved=spending.reserved + usd)
    return spending


def with_pending(spending: Spending, pending: Mapping[str, float]) -> Spending:
    """Return the sums with the reservations of jobs that no listing has shown yet.

    Args:
        spending: The sums.
        pending: US dollars by job.
    """
    unseen = {name: usd for name, usd in pending.items() if name not in spending.jobs}
    reserved = spending.reserved + sum(unseen.values())
    return replace(spending, reserved=reserved, jobs=spending.jobs | set(unseen))


def tightest(spendings: Sequence[Spending]) -> Spending:
    """Return the limit of which least is left."""
    return min(spendings, key=lambda spending: spending.left)


def allowance_of(own: timedelta | None, per_hour: float, spendings: Sequence[Spending]) -> Allowance | None:
    """Return what a job may use of its cost limits.

    Args:
        own: Its own time limit; None for none.
        per_hour: US dollars per hour of all of its nodes.
        spendings: Its limits; at least one.

    Returns:
        The smaller of its own time limit and of what is left, divided by its price; None if less than `SHORTEST` is
        left, unless its own time limit is shorter still.
    """
    tight = tightest(spendings)
    longest = JOB_LIFETIME if own is None else own
    if tight.left > 0 and _cost(longest, per_hour) <= tight.left + _NOTHING:
        return Allowance(own, _cost(longest, per_hour))
    affordable = affordable_time(tight, per_hour)
    if affordable < SHORTEST:
        return None
    return Allowance(affordable, _cost(affordable, per_hour), tight.limit)


def affordable_time(spending: Spending, per_hour: float) -> timedelta:
    """Return the time that the rest of a limit pays for, in whole seconds.

    Args:
        spending: The limit.
        per_hour: US dollars per hour.
    """
    if per_hour <= 0:
        return JOB_LIFETIME if spending.left > 0 else timedelta()
    return min(JOB_LIFETIME, timedelta(seconds=floor(min((spending.left + _NOTHING) / per_hour, 1e6) * _HOUR)))


def exceeded_by(spending: Spending, mine: str, usd: float, jobs: Iterable[JobSnapshot], now: datetime) -> float:
    """Return the US dollars by which a job and those before it exceed a limit; 0 if they do not.

    Two processes that submit at the same time do not see each other's job. Each of them lists the jobs again
    afterwards. Both see the same order, so the same job gives way.

    Args:
        spending: The sums with which the job was submitted.
        mine: Name of the job.
        usd: US dollars that it has reserved.
        jobs: The jobs now, itself included.
        now: The time.
    """
    jobs = list(jobs)
    own = next((job for job in jobs if job.name == mine), None)
    before = [job for job in jobs if job.name != mine and job.name not in spending.jobs]
    if own is not None:
        before = [job for job in before if _order(job) < _order(own)]
    if not before:
        return 0.0
    later = spending_of(spending.limit, before, {}, now)
    total = spending.spent + spending.reserved + later.spent + later.reserved + usd
    return total - spending.limit.usd if total > spending.limit.usd + TOLERANCE else 0.0


def _order(job: JobSnapshot) -> tuple[datetime, str]:
    return job.created_at or _LAST, job.name


def _cost(time: timedelta, per_hour: float) -> float:
    return per_hour * max(0.0, time.total_seconds()) / _HOUR


def _jobs(number: int) -> str:
    return "job" if number == 1 else "jobs"
