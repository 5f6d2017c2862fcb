"""What the supervisor ends, and when: its thread runs, and its time passes as it sleeps."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.lifecycle import supervisor as module
from zenml_azureml.lifecycle.canceller import PROCESS_ENDED
from zenml_azureml.lifecycle.execution import INTERRUPTED, Guard, StepExecution
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.supervisor import OWNERS_TIME, RUN_CHECK_INTERVAL, SIGNAL_CHECK_INTERVAL, RunSupervisor

#: Seconds after which no step is guarded any more.
END = 40.0


class Guarded:
    """A step of each guard, and what becomes of them."""

    def __init__(self) -> None:
        self.before = set(threading.enumerate())
        self.clock = Clock()
        self.world = World(self.clock)
        self.steps = {guard: self.step(guard) for guard in Guard}
        self.stopped: list[tuple[float, list[str], str]] = []
        self.at: dict[float, Callable[[], None]] = {}
        self.over: dict[UUID, str] = {}
        self.asked: list[UUID] = []
        self.supervisor = RunSupervisor(self.world.executions, cast("Any", self), self.clock)
        self.supervisor._over = cast("Any", SimpleNamespace(answer=self._answer))
        self.clock.happens = self._happens

    def step(self, guard: Guard, run_id: UUID | None = None) -> StepExecution:
        step_run = SimpleNamespace(id=uuid4(), pipeline_run_id=run_id or uuid4(), name=guard.name, run_metadata={})
        step = self.world.executions.of(cast("Any", step_run))
        step.guard = guard
        return step

    def stop(self, steps: list[StepExecution], reason: str) -> None:
        self.stopped.append((self.clock.now, sorted(step.name for step in steps), reason))

    def run(self) -> None:
        self.supervisor.watch()
        for thread in self.threads():
            thread.join(60)
            assert not thread.is_alive()

    def threads(self) -> list[threading.Thread]:
        new = set(threading.enumerate()) - self.before
        return [thread for thread in new if thread.name == "zenml-azureml-supervisor"]

    def release(self) -> None:
        for step in self.world.executions.guarded():
            step.guard = Guard.NONE

    def _answer(self, run_id: UUID) -> str:
        self.asked.append(run_id)
        return self.over.get(run_id, "")

    def _happens(self, now: float) -> None:
        for moment in [moment for moment in self.at if moment <= now]:
            self.at.pop(moment)()
        if now >= END:
            self.release()


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    before = STOP_SIGNALS.number
    yield Guarded()
    STOP_SIGNALS.number = before


def test_a_signal_ends_the_jobs_that_no_caller_waits_for_at_once_and_the_others_a_little_later(
    guarded: Guarded,
) -> None:
    def signalled() -> None:
        STOP_SIGNALS.number += 1

    guarded.at[10.0] = signalled
    guarded.run()

    interval, owners = SIGNAL_CHECK_INTERVAL.total_seconds(), OWNERS_TIME.total_seconds()
    first, second = guarded.stopped
    assert first[1:] == (["RUN", "SIGNAL"], INTERRUPTED)
    assert 10.0 <= first[0] <= 10.0 + interval
    assert second[1:] == (["EXIT", "RUN", "SIGNAL"], INTERRUPTED)
    assert second[0] == first[0] + owners


def test_a_second_signal_ends_those_that_are_left_again(guarded: Guarded) -> None:
    def signalled() -> None:
        STOP_SIGNALS.number += 1

    guarded.at = {10.0: signalled, 12.0: signalled}
    guarded.run()

    assert [names for _, names, _ in guarded.stopped] == [
        ["RUN", "SIGNAL"],
        ["RUN", "SIGNAL"],
        ["EXIT", "RUN", "SIGNAL"],
    ]


def test_without_a_signal_nothing_is_ended(guarded: Guarded) -> None:
    guarded.run()

    assert guarded.stopped == []
    assert set(guarded.asked) == {guarded.steps[Guard.RUN].run_id}


def test_the_steps_of_a_run_that_is_over_are_ended_and_no_others(guarded: Guarded) -> None:
    run_id = guarded.steps[Guard.RUN].run_id
    guarded.step(Guard.RUN, run_id)
    guarded.step(Guard.RUN)

    def over() -> None:
        guarded.over[run_id] = "the run was stopped"

    def ended() -> None:
        for step in guarded.world.executions.guarded(Guard.RUN):
            if step.run_id == run_id:
                step.guard = Guard.NONE

    guarded.at = {10.0: over, 10.0 + 1.5 * RUN_CHECK_INTERVAL.total_seconds(): ended}
    guarded.run()

    moment = guarded.stopped[0][0]
    assert {(*names, reason) for _, names, reason in guarded.stopped} == {("RUN", "RUN", "the run was stopped")}
    assert 10.0 <= moment <= 10.0 + RUN_CHECK_INTERVAL.total_seconds() + SIGNAL_CHECK_INTERVAL.total_seconds()


def test_its_thread_ends_with_the_last_guarded_step_and_another_begins_with_the_next(guarded: Guarded) -> None:
    busy = [guarded.supervisor.busy]
    guarded.run()
    busy.append(guarded.supervisor.busy)
    assert guarded.threads() == []

    guarded.step(Guard.RUN)
    guarded.clock.now = 0.0
    guarded.run()
    assert [*busy, guarded.supervisor.busy] == [True, False, False]


def test_it_has_one_thread_however_often_a_step_becomes_guarded(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, registered = threading.Event(), list[Any]()
    monkeypatch.setattr(atexit, "register", lambda *what: registered.append(what))

    def wait() -> None:
        may_go_on.wait(60)

    guarded.at[0.0] = wait
    guarded.supervisor.watch()
    guarded.supervisor.watch()
    found = len(guarded.threads())
    may_go_on.set()
    guarded.run()

    assert found == 1
    assert len(registered) == 1


def test_all_guarded_steps_are_ended_with_the_process(guarded: Guarded) -> None:
    guarded.supervisor.end_all(PROCESS_ENDED)
    guarded.release()
    guarded.supervisor.end_all(PROCESS_ENDED)

    assert guarded.stopped == [(0.0, ["EXIT", "RUN", "SIGNAL"], PROCESS_ENDED)]


def test_what_ends_at_exit_is_what_lives_then(guarded: Guarded) -> None:
    module._end_at_exit(cast("Any", lambda: guarded.supervisor))
    module._end_at_exit(cast("Any", lambda: None))

    assert [names for _, names, _ in guarded.stopped] == [["EXIT", "RUN", "SIGNAL"]]
    assert guarded.supervisor in STOP_SIGNALS.guards
    guarded.release()
