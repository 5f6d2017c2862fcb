"""What the suite asks of its workers, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos import schedule as schedules
from tests.chaos.catalogue import EVENTS, FAULTS, PHASES
from tests.chaos.mutants import NO_MUTANT
from tests.chaos.schedule import Part, Schedule


@dataclass(frozen=True)
class Task:
    """A schedule to carry out, by what it is made from.

    Attributes:
        part: Simulated or real jobs.
        seed: Of the suite.
        number: In the sequence.
        about: Instead of one in the sequence: one about this pair of phase and fault or event.
        mutant: Which operator.
    """

    part: Part
    seed: int
    number: int
    about: tuple[str, str] | None = None
    mutant: str = NO_MUTANT.name

    @property
    def name(self) -> str:
        """By which the suite is asked for it again: `ONLY=...`."""
        return "/".join([self.part, str(self.seed), str(self.number), *map(_one_word, self.about or ())])

    def schedule(self) -> Schedule:
        if self.about is None:
            return schedules.numbered(self.part, self.seed, self.number)
        phase, trouble = self.about
        make = schedules.about_fault if trouble in FAULTS else schedules.about_event
        return make(self.seed, self.number, phase, trouble)


def task_named(name: str, mutant: str) -> Task:
    """The task of a name."""
    part, seed, number, *about = name.split("/")
    pair = None
    if about:
        known = {_one_word(name): name for name in (*PHASES, *FAULTS, *EVENTS)}
        pair = (known[about[0]], known[about[1]])
    return Task("real" if part == "real" else "simulated", int(seed), int(number), pair, mutant)


def _one_word(name: str) -> str:
    return name.replace(" ", "-")


@dataclass(frozen=True)
class Result:
    """What a worker tells of a schedule.

    Attributes:
        name: The task's.
        description: What was planned.
        broken: What does not hold.
        fired: Pairs of phase and fault that happened.
        happened: Pairs of phase and event that happened.
        killed: Whether the orchestrator was killed.
        seconds: How long it took.
        account: What was printed and recorded, where something is broken.
    """

    name: str
    description: str
    broken: list[str]
    fired: list[tuple[str, str]] = field(default_factory=list)
    happened: list[tuple[str, str]] = field(default_factory=list)
    killed: bool = False
    seconds: float = 0.0
    account: str = field(repr=False, default="")
