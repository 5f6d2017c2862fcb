"""Where a step goes on whose job Azure has ended, or let wait for too long: a decision from its history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import Any

#: Stands in a step's metadata for a price that nobody tells.
UNKNOWN = "unknown"


class RetryReason(str, Enum):
    """Why a step was moved on from one of its attempts; the values are kept on ZenML's server."""

    PREEMPTED = "preempted"
    NO_CAPACITY = "no capacity"
    QUEUE_TIMEOUT = "queue timeout"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Attempt:
    """One attempt to run a step. As long as it may still succeed, it has no reason.

    Attributes:
        target: At which place: see `settings/fallback.py`.
        job: Name of its job; empty where none was submitted, because there was no capacity.
        place: The place in words, e.g. `serverless compute (Standard_DS3_v2)`; empty until it is known.
        size: VM size of its nodes; empty where Azure chooses it.
        usd_per_hour: Estimated US dollars per hour of all its nodes; None where no price is known.
        studio_url: Its page in Studio; empty until it is known.
        reason: Why the step was moved on from it.
        says: Azure's own words for that.
        started: When it began to run; None if it never did, or goes on.
        ended: When it ended.
    """

    target: int
    job: str
    place: str = ""
    size: str = ""
    usd_per_hour: float | None = None
    studio_url: str = ""
    reason: RetryReason | None = None
    says: str = ""
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def usd(self) -> float | None:
        """Estimated cost in US dollars, by the time for which it ran; None where its price or that is not known."""
        if not self.job or (self.ended is not None and self.started is None):
            return 0.0  # it never ran
        if self.usd_per_hour is None or self.ended is None or self.started is None:
            return None
        return self.usd_per_hour * max(0.0, (self.ended - self.started).total_seconds()) / 3600

    def as_metadata(self) -> dict[str, Any]:
        """The attempt as it is kept on ZenML's server: what is known of it, in JSON's types."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["reason"] = self.reason and self.reason.value
        values["started"] = self.started and self.started.isoformat()
        values["ended"] = self.ended and self.ended.isoformat()
        usd = self.usd
        values["usd"] = round(usd, 4) if usd is not None else UNKNOWN if self.ended is not None else None
        return {name: value for name, value in values.items() if value not in (None, "")}


def attempt_from(metadata: dict[str, Any]) -> Attempt:
    """The attempt that ZenML's server has kept.

    Args:
        metadata: What `Attempt.as_metadata` returned; further keys, of a later version, are left out.
    """
    values: dict[str, Any] = {field.name: metadata[field.name] for field in fields(Attempt) if field.name in metadata}
    for name in ("started", "ended"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    if "reason" in values:
        values["reason"] = RetryReason(values["reason"])
    return Attempt(**values)


@dataclass(frozen=True)
class Limits:
    """How far a step may be moved.

    Attributes:
        targets: Number of the places that its job may run at, at least 1.
        max_preemptions: How often its job is submitted again to the same place.
    """

    targets: int
    max_preemptions: int


def next_target(attempts: Sequence[Attempt], reason: RetryReason, limits: Limits) -> int | None:
    """The place of the next attempt.

    The next place, as long as there is one. At the last one a job that was preempted is submitted again, up to a
    number of times: capacity that comes and goes comes again, whereas what had no room for a job is not asked twice.

    Args:
        attempts: Those so far, the first one first; at least one.
        reason: Why the last one has ended.
        limits: How far the step may be moved.

    Returns:
        Number of the place; None to give up.
    """
    here = attempts[-1].target
    if here + 1 < limits.targets:
        return here + 1
    if reason is not RetryReason.PREEMPTED:
        return None
    # The last attempt may know its reason already or not: it counts for itself.
    before = sum(1 for attempt in attempts[:-1] if attempt.target == here and attempt.reason is RetryReason.PREEMPTED)
    return here if before < limits.max_preemptions else None


def closed(attempts: Sequence[Attempt], reason: RetryReason | None, **facts: Any) -> tuple[Attempt, ...]:
    """The attempts with what is known of the end of the last one.

    Args:
        attempts: At least one.
        reason: Why the step is moved on from it.
        facts: `says`, `started`, `ended`: as far as they are known.
    """
    return (*attempts[:-1], replace(attempts[-1], reason=reason, **facts))


def number_of_jobs(attempts: Sequence[Attempt]) -> int:
    """How many jobs were submitted in all attempts."""
    return sum(1 for attempt in attempts if attempt.job)


def cost(attempts: Sequence[Attempt]) -> float | None:
    """Estimated US dollars of all attempts together; None where what one of them has cost is not known."""
    costs = [attempt.usd for attempt in attempts]
    return None if None in costs else sum(usd for usd in costs if usd is not None)


def history(attempts: Sequence[Attempt]) -> str:
    """What was tried before the last attempt, and why not for longer: a line each; empty if nothing was."""
    if len(attempts) < 2:
        return ""
    lines = [f"{len(attempts)} attempts were made:"]
    for number, attempt in enumerate(attempts, start=1):
        what = attempt.place or "a place that was not settled"
        job = f", job `{attempt.job}`" if attempt.job else ", no job"
        why = f": {attempt.reason}" if attempt.reason else ""
        says = f" (Azure: {' '.join(attempt.says.split())})" if attempt.says else ""
        lines.append(f"  {number}. {what}{job}{why}{says}")
    return "\n".join(lines)
