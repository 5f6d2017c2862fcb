"""The recovery policy: the next target of a step whose job failed for lack of capacity, by its history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any

#: Value in a step's metadata for a price that is not known.
UNKNOWN = "unknown"

#: Longest part of Azure's message that is stored with an attempt, in characters.
_LONGEST_WORDS = 300


class RetryReason(str, Enum):
    """The reason why a step was resubmitted after an attempt. ZenML's server stores the values."""

    PREEMPTED = "preempted"
    NO_CAPACITY = "no capacity"
    QUEUE_TIMEOUT = "queue timeout"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Attempt:
    """One attempt to run a step. It has no reason as long as it may still succeed.

    Attributes:
        target: Number of its target: see `settings/fallback.py`.
        job: Name of its job; empty if none was submitted, for lack of capacity.
        place: Description of its compute, e.g. `serverless compute (Standard_DS3_v2)`; empty until it is known.
        size: VM size of its nodes; empty if Azure chooses it.
        usd_per_hour: Estimated US dollars per hour of all its nodes; None if unknown.
        studio_url: Its page in Studio; empty until it is known.
        reason: The reason why it did not succeed, if that is one to resubmit the step for.
        says: Azure's message about that.
        started: Time when it started; None if it never started, or has not ended.
        ended: Time when it ended.
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
    def hours(self) -> float | None:
        """Time for which it ran; None if unknown."""
        if self.started is None or self.ended is None:
            return None
        return max(0.0, (self.ended - self.started).total_seconds()) / 3600

    @property
    def usd(self) -> float | None:
        """Estimated cost in US dollars, from its price and its running time; None if one of them is unknown."""
        if not self.job or (self.ended is not None and self.started is None):
            return 0.0  # it never ran
        hours = self.hours
        return None if self.usd_per_hour is None or hours is None else self.usd_per_hour * hours

    def as_metadata(self) -> dict[str, Any]:
        """Return the attempt as ZenML's server stores it: its known attributes, in JSON's types."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["reason"] = self.reason and self.reason.value
        values["started"] = self.started and self.started.isoformat()
        values["ended"] = self.ended and self.ended.isoformat()
        usd = self.usd
        values["usd"] = round(usd, 4) if usd is not None else UNKNOWN if self.ended is not None else None
        return {name: value for name, value in values.items() if value not in (None, "")}


def attempt_from(metadata: dict[str, Any]) -> Attempt:
    """Return an attempt that ZenML's server has stored.

    Args:
        metadata: The result of `Attempt.as_metadata`; further keys, of a later version, are ignored.
    """
    values: dict[str, Any] = {field.name: metadata[field.name] for field in fields(Attempt) if field.name in metadata}
    for name in ("started", "ended"):
        if name in values:
            values[name] = datetime.fromisoformat(values[name])
    if "reason" in values:
        values["reason"] = RetryReason(values["reason"])
    return Attempt(**values)


def short(words: str) -> str:
    """Return a text of Azure in one line, short enough to be stored with an attempt."""
    one_line = " ".join(words.split())
    return one_line if len(one_line) <= _LONGEST_WORDS else f"{one_line[:_LONGEST_WORDS]}..."


@dataclass(frozen=True)
class Limits:
    """The limits for resubmitting a step.

    Attributes:
        targets: Number of its targets, at least 1.
        max_preemptions: Number of times that its job is resubmitted to the last target after a preemption.
    """

    targets: int
    max_preemptions: int


def next_target(attempts: Sequence[Attempt], reason: RetryReason, limits: Limits) -> int | None:
    """Return the target of the next attempt.

    That is the next target, as long as there is one. At the last target, a preempted job is resubmitted up to a number
    of times, since spot capacity returns. A target without capacity is not tried again.

    Args:
        attempts: The attempts so far, the oldest first; at least one.
        reason: The reason why the last one has ended.
        limits: The limits for resubmitting the step.

    Returns:
        Number of the target; None to give up.
    """
    here = attempts[-1].target
    if here + 1 < limits.targets:
        return here + 1
    if reason is not RetryReason.PREEMPTED:
        return None
    # The last attempt is not counted: it may or may not have its reason already.
    before = sum(1 for attempt in attempts[:-1] if attempt.target == here and attempt.reason is RetryReason.PREEMPTED)
    return here if before < limits.max_preemptions else None


def with_next(attempts: Sequence[Attempt], following: Attempt) -> tuple[Attempt, ...]:
    """Return the attempts with a further one, which replaces the last one if that has no end."""
    return (*(attempts[:-1] if attempts[-1].reason is None else attempts), following)


def number_of_jobs(attempts: Sequence[Attempt]) -> int:
    """Return the number of jobs that were submitted in all attempts."""
    return sum(1 for attempt in attempts if attempt.job)


def cost(attempts: Sequence[Attempt]) -> float | None:
    """Return the estimated cost of all attempts in US dollars; None if the cost of one of them is unknown."""
    costs = [attempt.usd for attempt in attempts]
    return None if None in costs else sum(usd for usd in costs if usd is not None)


def history(attempts: Sequence[Attempt], *, least: int = 2) -> str:
    """Return a line for each attempt, with the reason for its end.

    Args:
        attempts: The attempts.
        least: Smallest number of attempts that are worth a line; empty if there were fewer.
    """
    if len(attempts) < least:
        return ""
    lines = [f"{len(attempts)} attempts were made:" if len(attempts) > 1 else "One attempt was made before:"]
    for number, attempt in enumerate(attempts, start=1):
        what = attempt.place or "unknown compute"
        job = f", job `{attempt.job}`" if attempt.job else ", no job"
        why = f": {attempt.reason}" if attempt.reason else ""
        says = f" (Azure: {' '.join(attempt.says.split())})" if attempt.says else ""
        lines.append(f"  {number}. {what}{job}{why}{says}")
    return "\n".join(lines)
