"""A schedule: one run of a pipeline, and what goes wrong in it. Made from a seed and a number alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tests.chaos.catalogue import (
    CANCEL_PHASES,
    COMPUTE_PHASES,
    EVENTS,
    FAULTS,
    FOR_EVER,
    LOG_PHASES,
    PHASES,
    RUNNING_PHASES,
    SIZE_PHASES,
    VAULT_PHASES,
    passes,
)

Shape = Literal["static", "retries", "dynamic", "concurrent"]
Part = Literal["simulated", "real"]
PARTS: tuple[Part, ...] = ("simulated", "real")


#: Seconds that a job lasts which is to be interrupted.
LONG = 40.0

#: Nodes of a job on many nodes, and its processes on each.
NODES = 2
PROCESSES_PER_NODE = 2


@dataclass(frozen=True)
class PlannedStep:
    """A step's job: how long it lasts in its own seconds, how much it logs, how it ends."""

    name: str
    seconds: float
    lines: int
    exit_code: int = 0


@dataclass(frozen=True)
class PlannedFault:
    """A fault for requests of a phase: it lets some pass, then meets some."""

    phase: str
    fault: str
    after: int = 0
    times: int = 1


@dataclass(frozen=True)
class PlannedEvent:
    """An event at the n-th request of a phase, just before it is sent or after its answer has come.

    Attributes:
        rank: The process of a job that it happens to, where it happens to one.
    """

    event: str
    phase: str
    number: int = 1
    moment: Literal["before", "after"] = "after"
    rank: int = 0


@dataclass(frozen=True)
class Schedule:
    """One run and its troubles.

    Attributes:
        part: Whether the jobs pretend to run, or are processes.
        seed: Of the suite.
        number: In the suite.
        shape: What kind of pipeline runs.
        steps: Its steps.
        on_cluster: Whether they run on a cluster that has to be created.
        asks_resources: Whether they ask for CPUs, so that sizes and quota are looked at.
        via_vault: Whether their secrets travel by the key vault, to jobs on a cluster that is there.
        many_nodes: Whether each of their jobs has several nodes, with several processes on each.
        waits_in_vain: Whether the first job never gets a node, so that its step is moved to another place.
        stream_logs: Whether logs are followed.
        patience_minutes: How long Azure may be out of reach.
        faults: What goes wrong.
        events: What happens.
    """

    part: Part
    seed: int
    number: int
    shape: Shape
    steps: tuple[PlannedStep, ...]
    on_cluster: bool = False
    asks_resources: bool = False
    via_vault: bool = False
    many_nodes: bool = False
    waits_in_vain: bool = False
    stream_logs: bool = True
    patience_minutes: float = 30
    faults: tuple[PlannedFault, ...] = ()
    events: tuple[PlannedEvent, ...] = ()

    @property
    def name(self) -> str:
        """By which it can be asked for again."""
        return f"{self.part}/{self.seed}/{self.number}"

    @property
    def is_dynamic(self) -> bool:
        return self.shape in ("dynamic", "concurrent")

    @property
    def ranks(self) -> int:
        """How many processes each job has."""
        return NODES * PROCESSES_PER_NODE if self.many_nodes else 1

    def describe(self) -> str:
        """One line on what is planned."""
        steps = ", ".join(f"{step.seconds:g}s/{step.lines} lines/exit {step.exit_code}" for step in self.steps)
        troubles = [f"{f.fault} x{f.times} at {f.phase} after {f.after}" for f in self.faults]
        troubles += [f"{e.event}{f' ({e.rank})' * bool(e.rank)} {e.moment} {e.phase} {e.number}" for e in self.events]
        names = ("on_cluster", "asks_resources", "via_vault", "many_nodes", "waits_in_vain")
        options = [name for name in names if getattr(self, name)]
        options += [] if self.stream_logs else ["no logs"]
        return f"{self.shape} [{steps}] {' '.join(options)}: {'; '.join(troubles) or 'nothing goes wrong'}"


#: Every pair of phase and fault, in an order in which neighbours are unlike.
PAIRS: tuple[tuple[str, str], ...] = tuple((phase, fault) for fault in FAULTS for phase in PHASES)

#: At requests of which phases events are put.
_EVENT_PHASES = tuple(phase for phase in PHASES if phase not in SIZE_PHASES | COMPUTE_PHASES)
EVENT_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (phase, event) for event in EVENTS for phase in _EVENT_PHASES if event != "rank killed" or phase in RUNNING_PHASES
)


def simulated(seed: int, number: int) -> Schedule:
    """A schedule whose jobs pretend to run.

    Two of three are about a pair of phase and fault, which takes turns through all of them; every third is about an
    event at a phase.
    """
    draw = random.Random(f"{seed}/{number}")
    if number % 3 < 2:
        turn = number // 3 * 2 + number % 3
        phase, fault = PAIRS[turn % len(PAIRS)]
        return _about_fault(draw, seed, number, phase, fault)
    phase, event = EVENT_PAIRS[number // 3 % len(EVENT_PAIRS)]
    return _about_event(draw, seed, number, phase, event)


def real(seed: int, number: int) -> Schedule:
    """A schedule whose jobs are processes; every second one kills the orchestrator."""
    draw = random.Random(f"real/{seed}/{number}")
    phases = [phase for phase in _EVENT_PHASES if phase not in CANCEL_PHASES]
    events = ("SIGINT", "SIGTERM", "rank killed", "runs stop", "exception", "forced runs stop", "evicted")
    event = "SIGKILL" if number % 2 else events[number // 2 % len(events)]
    phase = phases[number // 2 % len(phases)]
    if event == "rank killed":
        phases = [phase for phase in phases if phase in RUNNING_PHASES]
        phase = phases[number // 2 // len(events) % len(phases)]
    shape = _shape_for(draw, phase)
    faults = [_planned(draw, draw.choice(list(PHASES)), draw.choice(_passing_faults()))] if draw.random() < 0.5 else []
    return Schedule(
        part="real",
        seed=seed,
        number=number,
        shape=shape,
        steps=tuple(
            replace(step, seconds=step.seconds / 10)
            for step in _steps(draw, shape, long=draw.random() < 0.8 or event == "rank killed")
        ),
        via_vault=phase in VAULT_PHASES,
        many_nodes=event == "rank killed",
        faults=tuple(faults),
        events=(_planned_event(draw, event, phase, first_rank=1),),
    )


def numbered(part: Part, seed: int, number: int) -> Schedule:
    """The schedule of a part, a seed and a number."""
    return simulated(seed, number) if part == "simulated" else real(seed, number)


def about_fault(seed: int, number: int, phase: str, fault: str) -> Schedule:
    """A schedule about one pair of phase and fault, outside the sequence."""
    return _about_fault(random.Random(f"{seed}/{phase}/{fault}/{number}"), seed, number, phase, fault)


def about_event(seed: int, number: int, phase: str, event: str) -> Schedule:
    """A schedule about one pair of phase and event, outside the sequence."""
    return _about_event(random.Random(f"{seed}/{phase}/{event}/{number}"), seed, number, phase, event)


def _moment(draw: random.Random) -> Literal["before", "after"]:
    return "before" if draw.random() < 0.5 else "after"


def _about_fault(draw: random.Random, seed: int, number: int, phase: str, fault: str) -> Schedule:
    cancels = phase in CANCEL_PHASES
    shape = _shape_for(draw, phase)
    faults = [_planned(draw, phase, fault)]
    if draw.random() < 0.4:
        others = [other for other in PHASES if other != phase]
        faults.append(_planned(draw, draw.choice(others), draw.choice(_passing_faults())))
    if phase == "job PUT" and FAULTS[fault].processed:
        # The next try would be refused; but there must be none, because the job is there.
        faults.append(PlannedFault("job PUT", "403", after=int(FAULTS[fault].on_client)))
    events: tuple[PlannedEvent, ...] = ()
    if cancels:
        event = draw.choice(("SIGINT", "SIGTERM", "exception", "runs stop", "forced runs stop"))
        events = (PlannedEvent(event, "job GET", draw.randint(1, 2)),)
        if shape == "concurrent":
            events = (PlannedEvent(event, "job listing", draw.randint(1, 2)),)
    elif draw.random() < 0.15:
        events = (_random_event(draw, shape),)
    follows_logs = any(event.phase in LOG_PHASES for event in events)
    steps = _steps(draw, shape, long=bool(events))
    if phase == "job listing":  # of which there are several, so that the fault comes to pass
        steps = tuple(replace(step, seconds=max(step.seconds, 15)) for step in steps)
    return Schedule(
        part="simulated",
        seed=seed,
        number=number,
        shape=shape,
        steps=steps,
        on_cluster=phase in COMPUTE_PHASES,
        asks_resources=phase in SIZE_PHASES,
        via_vault=phase in VAULT_PHASES,
        stream_logs=follows_logs or draw.random() < 0.8,
        patience_minutes=0.5 if _never_recovers(phase, fault) else 30,
        faults=tuple(faults),
        events=events,
    )


def _never_recovers(phase: str, fault: str) -> bool:
    """Whether Azure stays out of reach after a fault.

    A vault whose address cannot be found out has that of the public cloud, which the emulator's have not.
    """
    return FAULTS[fault].lasts or (phase == "vault" and not passes(phase, fault))


def _about_event(draw: random.Random, seed: int, number: int, phase: str, event: str) -> Schedule:
    shape = _shape_for(draw, phase)
    events = [_planned_event(draw, event, phase)]
    first = draw.choice(("SIGINT", "runs stop", "wait")) if phase in CANCEL_PHASES else ""
    waits_in_vain = first == "wait" and event not in ("rank killed", "evicted")
    if first and not waits_in_vain:  # something has to make it cancel first
        first = "SIGINT" if first == "wait" else first
        where = "job listing" if shape == "concurrent" else "job GET"
        events.insert(0, PlannedEvent(first, where, 1))
    faults = [_planned(draw, draw.choice(list(PHASES)), draw.choice(_passing_faults()))] if draw.random() < 0.5 else []
    if event == "evicted" and draw.random() < 0.5:  # and once more something, between the two jobs of the step
        second = draw.choice(("SIGKILL", "SIGINT", "exception", "runs stop", "evicted"))
        events.append(PlannedEvent(second, "job PUT", 2, _moment(draw)))
    return Schedule(
        part="simulated",
        seed=seed,
        number=number,
        shape=shape,
        steps=_steps(draw, shape, long=draw.random() < 0.8 or event == "rank killed"),
        via_vault=phase in VAULT_PHASES,
        many_nodes=event == "rank killed",
        waits_in_vain=waits_in_vain,
        stream_logs=phase in LOG_PHASES or draw.random() < 0.8,
        faults=tuple(faults),
        events=tuple(events),
    )


def _planned_event(draw: random.Random, event: str, phase: str, *, first_rank: int = 0) -> PlannedEvent:
    number, moment = draw.randint(1, 3) if PHASES[phase].often else 1, _moment(draw)
    if event != "rank killed":
        return PlannedEvent(event, phase, number, moment)
    # There is nothing to kill before the job is made, nor when it is being cancelled.
    moment = "after" if phase == "job PUT" else "before" if phase in CANCEL_PHASES else moment
    return PlannedEvent(event, phase, number, moment, draw.randrange(first_rank, NODES * PROCESSES_PER_NODE))


def _shape_for(draw: random.Random, phase: str) -> Shape:
    if phase == "job listing":
        return "concurrent"  # alone, a job is looked at by itself
    return draw.choices(("static", "retries", "dynamic", "concurrent"), weights=(6, 2, 1, 1))[0]


def _steps(draw: random.Random, shape: Shape, *, long: bool) -> tuple[PlannedStep, ...]:
    # Fewer than three concurrent ones are looked at each by itself: the workspace's jobs would not be listed.
    number = {"static": draw.choice((1, 1, 1, 2)), "retries": 1, "dynamic": 1, "concurrent": 3}[shape]
    return tuple(
        PlannedStep(
            name=f"step{index}",
            seconds=LONG if long else draw.choice((0, 1, 3)),
            lines=draw.choice((1, 2, 5)),
            exit_code=0 if long or draw.random() < 0.85 else draw.choice((1, 137)),
        )
        for index in range(number)
    )


def _planned(draw: random.Random, phase: str, fault: str) -> PlannedFault:
    after = draw.choice((0, 0, 1, 2)) if PHASES[phase].often else 0
    if FAULTS[fault].lasts:
        return PlannedFault(phase, fault, after, FOR_EVER)
    times = draw.choice((1, 1, 2, 3)) if FAULTS[fault].passes and FAULTS[fault].repeats else 1
    return PlannedFault(phase, fault, after, times)


def _passing_faults() -> Sequence[str]:
    return [name for name, fault in FAULTS.items() if fault.passes]


def _random_event(draw: random.Random, shape: Shape) -> PlannedEvent:
    event = draw.choice([name for name in EVENTS if name not in ("SIGKILL", "evicted", "rank killed")])
    phase = "job listing" if shape == "concurrent" else draw.choice(("job PUT", "job GET", "details", "log"))
    return PlannedEvent(event, phase, 1, _moment(draw))
