"""What must hold after every schedule. Pure: from a trial to what broke, by the names of the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.rules import data, ends, jobs, limits, lines, recovery, secrets, shells, statuses, tries, usage
from tests.chaos.trial import Trial

Rule = Callable[[Trial], Iterator[str]]

#: By the name that a mutant of the operator names the rule with that it breaks.
RULES: dict[str, Rule] = {
    "ends by itself": ends.ends,
    "lets go": ends.lets_go,
    "quiet": ends.quiet,
    "one job": jobs.one_job,
    "no job too many": jobs.no_job_too_many,
    "no job left": jobs.no_job_left,
    "no job after an interruption": jobs.none_after_interruption,
    "watched": jobs.watched,
    "kept": jobs.kept,
    "tries": tries.tries,
    "outcome": tries.outcome,
    "exit code": tries.exit_code,
    "statuses": statuses.statuses,
    "causes": statuses.causes,
    "ranks": statuses.ranks,
    "cost limit": limits.limits,
    "data": data.data,
    "usage": usage.usage,
    "shells": shells.shells,
    "lines": lines.lines,
    "no secret told": secrets.none_told,
    "no secret left": secrets.none_left,
    "recovery": recovery.recovery,
}

#: What every crash breaks, of the operator or of a mutant of it: a mutant that breaks one of these has to name it.
BY_ANY_CAUSE = frozenset({"ends by itself", "quiet"})


@dataclass(frozen=True)
class Broken:
    """One thing that does not hold.

    Attributes:
        rule: Name of the rule.
        what: What was found, as half a sentence.
    """

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def broken(trial: Trial) -> list[Broken]:
    """What does not hold; empty where all is well."""
    return [Broken(name, what) for name, rule in RULES.items() for what in rule(trial)]
