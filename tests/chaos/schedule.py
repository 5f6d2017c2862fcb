"""A schedule: one run of a pipeline, and what goes wrong in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tests.chaos.catalogue import ALL_EVENTS

Shape = Literal["static", "retries", "dynamic", "concurrent"]
Kind = Literal["command", "function"]
Part = Literal["simulated", "real", "server"]
Moment = Literal["before", "after"]
PARTS: tuple[Part, ...] = ("simulated", "real", "server")

#: Nodes of a job on many nodes, and its processes on each.
NODES = 2
PROCESSES_PER_NODE = 2

#: Minutes for which a job is held open: longer than any schedule lasts.
HOLD_MINUTES = 60

#: Tries of a step in a pipeline of the shape `retries`.
TRIES = 3


@dataclass(frozen=True)
class PlannedStep:
    """A step's job: how long it logs in its own seconds, how much, how it ends, and whether it is a function."""

    name: str
    seconds: float
    lines: int
    exit_code: int = 0
    kind: Kind = "command"


@dataclass(frozen=True)
class PlannedFault:
    """A fault for requests of a phase: it lets some pass, then meets some.

    Attributes:
        recovery: Whether it is for the commands after the orchestrator's end.
        trap: Whether it is one that no request must meet.
    """

    phase: str
    fault: str
    after: int = 0
    times: int = 1
    recovery: bool = False
    trap: bool = False


@dataclass(frozen=True)
class PlannedEvent:
    """An event at the n-th request of a phase, just before it is sent or after its answer has come.

    Attributes:
        rank: The process of a job that it happens to, where it happens to one.
        follows: Whether requests are counted from the event before it.
    """

    event: str
    phase: str
    number: int = 1
    moment: Moment = "after"
    rank: int = 0
    follows: bool = False


@dataclass(frozen=True)
class Schedule:
    """One run and its troubles.

    Attributes:
        name: By which it can be asked for again.
        part: Whether the jobs pretend to run, are processes, or are processes of a run on a ZenML server.
        number: Decides what is done about an orchestrator that was killed.
        shape: What kind of pipeline runs.
        steps: Its steps.
        held: Whether its jobs last until they are ended, or everything planned has happened.
        holds: Whether a job whose step's code fails is held open, for longer than the run lasts.
        on_cluster: Whether they run on a cluster that has to be created.
        asks_resources: Whether they ask for CPUs, so that sizes and quota are looked at.
        via_vault: Whether their secrets travel by the key vault, to jobs on a cluster that is there.
        many_nodes: Whether each of their jobs has several nodes, with several processes on each.
        waits_in_vain: Whether the first job never gets a node.
        fallback: Whether there is another place for a job that waits in vain.
        max_preemptions: How often a job that was evicted is submitted again.
        with_data: Whether each step reads the newest version of a data asset.
        with_shell: Whether each job has a service by which a user can open a shell in it.
        usage: Whether jobs report what they have used: `whole`, `cut off`, or empty.
        max_usd: The cost limit of each step; None for none.
        stream_logs: Whether logs are followed.
        patience_minutes: How long Azure may be out of reach.
        faults: What goes wrong.
        events: What happens.
    """

    name: str
    part: Part
    number: int
    shape: Shape
    steps: tuple[PlannedStep, ...]
    held: bool = False
    holds: bool = False
    on_cluster: bool = False
    asks_resources: bool = False
    via_vault: bool = False
    many_nodes: bool = False
    waits_in_vain: bool = False
    fallback: bool = True
    max_preemptions: int = 3
    with_data: bool = False
    with_shell: bool = False
    usage: str = ""
    max_usd: float | None = None
    stream_logs: bool = True
    patience_minutes: float = 30
    faults: tuple[PlannedFault, ...] = ()
    events: tuple[PlannedEvent, ...] = field(default=())

    @property
    def run_name(self) -> str:
        return f"chaos-{self.name.replace('/', '-')}"

    @property
    def is_dynamic(self) -> bool:
        return self.shape in ("dynamic", "concurrent")

    @property
    def ranks(self) -> int:
        """How many processes each job has."""
        return NODES * PROCESSES_PER_NODE if self.many_nodes else 1

    def stops_for(self, event: str) -> bool:
        """Whether the orchestrator has to stop for an event, and nothing of the run goes on.

        An exception of the runner's own is a failure like any other to ZenML, which tries again if it may.
        """
        return ALL_EVENTS[event].interrupts and not self.tries_again_after(event)

    def tries_again_after(self, event: str) -> bool:
        """Whether another job is submitted in the place of one that an event has ended: that one is let go."""
        return event == "exception" and self.shape == "retries"

    def describe(self) -> str:
        """One line on what is planned."""
        steps = ", ".join(f"{s.kind} {s.seconds:g}s/{s.lines} lines/exit {s.exit_code}" for s in self.steps)
        troubles = [
            f"{f.fault} x{f.times} at {f.phase} after {f.after}{' of the recovery' * f.recovery}" for f in self.faults
        ]
        troubles += [
            f"{e.event}{f' ({e.rank})' * bool(e.rank)} {e.moment} {e.phase} {e.number}{' then' * e.follows}"
            for e in self.events
        ]
        names = (
            "held",
            "holds",
            "on_cluster",
            "asks_resources",
            "via_vault",
            "many_nodes",
            "waits_in_vain",
            "with_data",
            "with_shell",
        )
        options = [name for name in names if getattr(self, name)]
        options += [f"usage {self.usage}"] if self.usage else []
        options += [] if self.stream_logs else ["no logs"]
        options += [] if self.fallback else ["no fallback"]
        return f"{self.shape} [{steps}] {' '.join(options)}: {'; '.join(troubles) or 'nothing goes wrong'}"
