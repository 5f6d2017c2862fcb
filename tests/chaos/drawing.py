"""How schedules are drawn: each is about one pair of phase and fault or event, and follows from its name alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.chaos.catalogue import (
    ALL_EVENTS,
    COMPUTE_PHASES,
    DATA,
    ENDING_PHASES,
    FAULTS,
    FOR_EVER,
    HELD_SHELL,
    HOLD,
    LOG_PHASES,
    PHASES,
    RECOVERY,
    SERVER_EVENTS,
    SHELL,
    SIZE_PHASES,
    USUAL_PHASES,
    VAULT_PHASES,
    passes,
    phase_of,
)
from tests.chaos.schedule import (
    NODES,
    PROCESSES_PER_NODE,
    Moment,
    Part,
    PlannedEvent,
    PlannedFault,
    PlannedStep,
    Schedule,
    Shape,
)

#: Phases of the preparation of a job, some of whose other phases come later.
_BEFORE_SUBMIT = COMPUTE_PHASES | SIZE_PHASES | (VAULT_PHASES - {"secret DELETE"})


def schedule_about(
    name: str, part: Part, pair: tuple[str, str], number: int, *, shape: Shape | None = None, **options: Any
) -> Schedule:
    """A schedule about a pair.

    Args:
        name: Its name, from which it follows.
        part: What its jobs are.
        pair: Phase and fault, or phase and event.
        number: Decides what is done about an orchestrator that was killed.
        shape: Of the pipeline; None to draw it.
        options: Further ones of the schedule, which win; with any, nothing else goes wrong.
    """
    made = _drawn(name, part, pair, number, shape, options)
    usage = random.Random(f"{name}/usage").choice(("", "", "whole", "cut off")) if part == "simulated" else ""
    return replace(made, usage=options.get("usage", usage))


def _drawn(
    name: str, part: Part, pair: tuple[str, str], number: int, shape: Shape | None, options: Mapping[str, Any]
) -> Schedule:
    draw = random.Random(name)
    phase, trouble = pair
    alone = bool(options)
    if phase.startswith(RECOVERY):
        made = _about_recovery(draw, name, phase.removeprefix(RECOVERY), trouble)
        return replace(made, part=part, **options)
    if phase.startswith(HOLD):
        made = _about_hold(draw, name, phase.removeprefix(HOLD), trouble, shape)
        return replace(made, part=part, number=number, **options)
    if phase.startswith(DATA):
        made = _about_data(draw, name, phase.removeprefix(DATA), trouble, shape)
        return replace(made, part=part, number=number, **options)
    if phase.startswith((SHELL, HELD_SHELL)):
        about = _about_shell_in_a_held_job if phase.startswith(HELD_SHELL) else _about_shell
        made = about(draw, name, phase_of(phase), trouble, shape)
        return _with_jobs_of(part, replace(made, part=part, number=number, **options))
    shape = shape or _shape_for(draw, phase, trouble)
    make = _about_fault if trouble in FAULTS else _about_event
    made = make(draw, name, phase, trouble, shape, alone)
    return _with_jobs_of(part, replace(made, part=part, number=number, **options))


def _with_jobs_of(part: Part, made: Schedule) -> Schedule:
    if part == "simulated":
        return made
    # The image of a function would have to have this code; commands show the same of jobs that are processes.
    return replace(made, steps=tuple(replace(step, kind="command") for step in made.steps))


def _about_fault(draw: random.Random, name: str, phase: str, fault: str, shape: Shape, alone: bool) -> Schedule:
    faults = [_planned(draw, phase, fault)]
    if phase == "job PUT" and FAULTS[fault].processed:
        # The next try would be refused; but there must be none, because the job is there.
        faults.append(PlannedFault("job PUT", "403", after=int(FAULTS[fault].on_client), trap=True))
    elif passes(phase, fault) and not alone and draw.random() < 0.4:
        faults += _further(draw, phase, shape)
    events: tuple[PlannedEvent, ...] = ()
    if phase == "cancel":
        event = draw.choice(("SIGINT", "SIGTERM", "exception", "runs stop", "forced runs stop"))
        events = (PlannedEvent(event, _looking(shape), draw.randint(1, 2)),)
    return Schedule(
        name=name,
        part="simulated",
        number=0,
        shape=shape,
        steps=_steps(draw, shape, ends_well=bool(events) or phase == "moving" or draw.random() < 0.85),
        # A listing pays where three jobs run at the same time.
        held=bool(events) or phase == "job listing",
        on_cluster=phase in COMPUTE_PHASES,
        asks_resources=phase in SIZE_PHASES,
        via_vault=phase in VAULT_PHASES,
        waits_in_vain=phase == "moving",
        stream_logs=phase in LOG_PHASES or any(f.phase in LOG_PHASES for f in faults) or draw.random() < 0.8,
        patience_minutes=0.5 if _never_recovers(phase, fault) else 30,
        faults=tuple(faults),
        events=events,
    )


def _about_event(draw: random.Random, name: str, phase: str, event: str, shape: Shape, alone: bool) -> Schedule:
    events = [_planned_event(draw, event, phase)]
    if event == "second SIGINT":
        first = "SIGTERM" if draw.random() < 0.3 else "SIGINT"
        events.insert(0, PlannedEvent(first, _looking(shape), 1))
    elif phase == "cancel":  # something has to make it cancel first
        events.insert(0, PlannedEvent(draw.choice(("SIGINT", "runs stop")), _looking(shape), 1))
    elif event == "evicted" and not alone and draw.random() < 0.5:  # and something more, between two jobs of the step
        second = draw.choice(("SIGKILL", "SIGINT", "exception", "runs stop"))
        events.append(PlannedEvent(second, "job PUT", 2, _moment(draw)))
    faults = [] if alone or draw.random() < 0.5 else _further(draw, phase, shape, first=True)
    return Schedule(
        name=name,
        part="simulated",
        number=0,
        shape=shape,
        steps=_steps(draw, shape, ends_well=True),
        # A secret is deleted when its job has ended: by itself, if not by an interruption.
        held=phase != "secret DELETE" or event == "second SIGINT",
        on_cluster=phase in COMPUTE_PHASES,
        asks_resources=phase in SIZE_PHASES,
        via_vault=phase in VAULT_PHASES,
        many_nodes=event == "rank killed",
        max_usd=5 if event == "limit reached" else None,
        waits_in_vain=phase == "moving",
        stream_logs=phase in LOG_PHASES or any(f.phase in LOG_PHASES for f in faults) or draw.random() < 0.8,
        faults=tuple(faults),
        events=tuple(events),
    )


def _about_recovery(draw: random.Random, name: str, phase: str, fault: str) -> Schedule:
    """An orchestrator is killed while its job runs, and the commands for that meet a fault."""
    shape: Shape = draw.choice(("static", "dynamic"))
    return Schedule(
        name=name,
        part="simulated",
        number=int(phase == "job GET"),  # who waits for a job asks for it, who cancels all of a run lists them
        shape=shape,
        steps=_steps(draw, shape, ends_well=True),
        held=True,
        faults=(replace(_planned(draw, phase, fault), after=0, recovery=True),),
        events=(PlannedEvent("SIGKILL", "job GET", draw.randint(1, 3), _moment(draw)),),
    )


def _about_hold(draw: random.Random, name: str, phase: str, trouble: str, wanted: Shape | None) -> Schedule:
    """The code of a step fails, and its job is held open: with retries, each next job runs beside those before."""
    shapes: tuple[Shape, ...] = ("retries",) if trouble == "restarted" else ("static", "retries", "retries", "dynamic")
    faults = (replace(_planned(draw, phase, trouble), after=0),) if trouble in FAULTS else ()
    shape: Shape = draw.choice(shapes) if wanted is None else wanted
    number = draw.randint(1, 8) if phase == "job GET" else draw.randint(1, 3)
    events = () if faults else (PlannedEvent(trouble, phase, number, _moment(draw)),)
    return Schedule(
        name=name,
        part="simulated",
        number=0,
        shape=shape,
        steps=(PlannedStep("step0", draw.choice((0.5, 1, 3)), draw.choice((1, 2, 5)), exit_code=1, kind="function"),),
        holds=True,
        faults=faults,
        events=events,
    )


def _about_data(draw: random.Random, name: str, phase: str, trouble: str, wanted: Shape | None) -> Schedule:
    """A step reads the newest version of a data asset, and there is a newer one before its next job."""
    faults = (_planned(draw, phase, trouble),) if trouble in FAULTS else ()
    events: tuple[PlannedEvent, ...] = ()
    if trouble == "new version":
        events = (PlannedEvent(trouble, phase, 1, "after"),)
    elif not faults:
        events = (PlannedEvent("new version", "job PUT", 1, "after"), PlannedEvent(trouble, phase, 1, "after"))
    shapes: tuple[Shape, ...] = ("static", "retries") if faults else ("retries",)
    shape: Shape = draw.choice(shapes) if wanted is None else wanted
    fails = trouble == "new version"  # so that there is a next job
    return Schedule(
        name=name,
        part="simulated",
        number=0,
        shape=shape,
        steps=(PlannedStep("step0", 1, 1, exit_code=int(fails), kind=draw.choice(("command", "function"))),),
        held=bool(events),
        with_data=True,
        faults=faults,
        events=events,
    )


def _about_shell(draw: random.Random, name: str, phase: str, trouble: str, wanted: Shape | None) -> Schedule:
    """A user opens a shell in a job that runs, and then something happens."""
    shape = wanted or _shape_for(draw, phase, trouble)
    opened = PlannedEvent("shell opened", _looking(shape), 1, _moment(draw))
    return Schedule(
        name=name,
        part="simulated",
        number=0,
        shape=shape,
        steps=_steps(draw, shape, ends_well=True),
        held=True,
        with_shell=True,
        max_usd=5 if trouble == "limit reached" else None,
        events=(opened, PlannedEvent(trouble, phase, draw.randint(1, 3), _moment(draw), follows=True)),
    )


def _about_shell_in_a_held_job(
    draw: random.Random, name: str, phase: str, trouble: str, wanted: Shape | None
) -> Schedule:
    """A user opens a shell in a job that is held open, and then something happens, beside the next try of its step."""
    opened = PlannedEvent("shell opened", "job PUT", 2, "after")
    return Schedule(
        name=name,
        part="simulated",
        number=0,
        shape=wanted or "retries",
        steps=(PlannedStep("step0", draw.choice((0.5, 1, 3)), draw.choice((1, 2, 5)), exit_code=1, kind="function"),),
        holds=True,
        with_shell=True,
        events=(opened, PlannedEvent(trouble, phase, draw.randint(1, 3), _moment(draw), follows=True)),
    )


def _further(draw: random.Random, phase: str, shape: Shape, *, first: bool = False) -> list[PlannedFault]:
    """A fault that passes, at another phase.

    Args:
        draw: Decides.
        phase: The phase that the schedule is about.
        shape: Of the pipeline.
        first: Whether it has to come before that phase, at which the run may end.
    """
    if phase in USUAL_PHASES:
        others = USUAL_PHASES[: USUAL_PHASES.index(phase)]
    else:
        others = USUAL_PHASES[:1] if first and phase in _BEFORE_SUBMIT else USUAL_PHASES[:5]
    others = tuple(other for other in others if not (other == "job GET" and shape == "concurrent"))
    if not others:
        return []
    other = draw.choice(others)
    fault = draw.choice([name for name in FAULTS if passes(other, name) and not FAULTS[name].processed])
    return [replace(_planned(draw, other, fault), after=0)]


def _never_recovers(phase: str, fault: str) -> bool:
    """Whether Azure stays out of reach after a fault.

    A vault whose address cannot be found out has that of the public cloud, which the emulator's have not.
    """
    return FAULTS[fault].lasts or (phase == "vault" and not passes(phase, fault))


def _planned(draw: random.Random, phase: str, fault: str) -> PlannedFault:
    after = draw.choice((0, 0, 1, 2)) if phase in ("job GET", "moving") else 0
    if FAULTS[fault].lasts:
        return PlannedFault(phase, fault, after, FOR_EVER)
    times = draw.choice((1, 1, 2, 3)) if FAULTS[fault].passes and FAULTS[fault].repeats else 1
    return PlannedFault(phase, fault, after, times)


def _planned_event(draw: random.Random, event: str, phase: str) -> PlannedEvent:
    number, moment = draw.randint(1, 3) if PHASES[phase].often else 1, _moment(draw)
    follows = phase == "cancel" or event == "second SIGINT"
    if follows and phase in ENDING_PHASES - {"job GET", "job listing"}:
        number = 1
    rank = draw.randrange(1, NODES * PROCESSES_PER_NODE) if event == "rank killed" else 0
    if ALL_EVENTS[event].to_jobs and phase == "job PUT":
        moment = "after"  # there is nothing to hit before the job is made
    return PlannedEvent(event, phase, number, moment, rank, follows)


def _moment(draw: random.Random) -> Moment:
    return "before" if draw.random() < 0.5 else "after"


def _looking(shape: Shape) -> str:
    """At whose requests a job is looked at that runs."""
    return "job listing" if shape == "concurrent" else "job GET"


def _shape_for(draw: random.Random, phase: str, trouble: str) -> Shape:
    if phase == "job listing":
        return "concurrent"  # alone, a job is looked at by itself
    if trouble == "restarted" or trouble in SERVER_EVENTS:
        return draw.choice(("static", "retries", "retries")) if trouble == "restarted" else "static"
    return draw.choices(("static", "retries", "dynamic", "concurrent"), weights=(6, 2, 1, 1))[0]


def _steps(draw: random.Random, shape: Shape, *, ends_well: bool) -> tuple[PlannedStep, ...]:
    # Fewer than three concurrent ones are looked at each by itself: the workspace's jobs would not be listed.
    number = {"static": draw.choice((1, 1, 2)), "retries": 1, "dynamic": 1, "concurrent": 3}[shape]
    return tuple(
        PlannedStep(
            name=f"step{index}",
            seconds=draw.choice((0.5, 1, 3)),
            lines=draw.choice((1, 2, 5)),
            exit_code=0 if ends_well else draw.choice((1, 137)),
            kind="function" if draw.random() < 0.25 else "command",
        )
        for index in range(number)
    )
