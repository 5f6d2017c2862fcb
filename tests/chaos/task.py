"""What the suite asks of its workers, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.catalogue import PAIRS
from tests.chaos.drawing import schedule_about
from tests.chaos.mutants import MUTANTS, NO_MUTANT
from tests.chaos.real_pairs import REAL_PAIRS
from tests.chaos.schedule import Part, Schedule
from tests.chaos.server_pairs import SERVER_PAIRS

#: What the schedules of each part are about: pairs of phase and fault or event, in turn.
PAIRS_OF: dict[Part, tuple[tuple[str, str], ...]] = {"simulated": PAIRS, "real": REAL_PAIRS, "server": SERVER_PAIRS}


@dataclass(frozen=True)
class Task:
    """A schedule to carry out, by what it follows from.

    Attributes:
        part: What the jobs are.
        seed: Of the suite.
        number: In the sequence of the part, or of the mutant.
        draw: Grows with every schedule about the same pair of which something did not happen.
        mutant: Which operator.
    """

    part: Part
    seed: int
    number: int
    draw: int = 0
    mutant: str = NO_MUTANT.name

    @property
    def name(self) -> str:
        """By which the suite is asked for it again: `ONLY=...`."""
        return f"{self.part}/{self.seed}/{self.number}/{self.draw}"

    @property
    def pair(self) -> tuple[str, str]:
        """What it is about."""
        about = MUTANTS[self.mutant].about or PAIRS_OF[self.part]
        return about[self.number % len(about)]

    def schedule(self) -> Schedule:
        """The schedule."""
        mutant = MUTANTS[self.mutant]
        return schedule_about(
            self.name, self.part, self.pair, self.number // len(PAIRS), shape=mutant.shape, **mutant.options
        )


def task_named(name: str, mutant: str) -> Task:
    """The task of a name."""
    part, seed, number, draw = name.split("/")
    known: dict[str, Part] = {"simulated": "simulated", "real": "real", "server": "server"}
    return Task(known[part], int(seed), int(number), int(draw), mutant)


@dataclass(frozen=True)
class Result:
    """What a worker found of a schedule.

    Attributes:
        name: The task's.
        description: What was planned.
        broken: What does not hold: names of rules, and what was found.
        untested: What was planned and did not happen.
        crashed: Why there is no trial; empty if there is one.
        happened: Pairs of phase and fault or event that did.
        seconds: How long it took.
        account: What was printed and recorded, where something is broken or untested.
    """

    name: str
    description: str
    broken: list[tuple[str, str]] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)
    crashed: str = ""
    happened: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    account: str = field(repr=False, default="")
