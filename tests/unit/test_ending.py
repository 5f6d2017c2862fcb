"""Which jobs of a run that is over are cancelled: those that do not come to their own end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.lifecycle.canceller import FINISHING, INTERRUPTED, Canceller
from zenml_azureml.run_store import step_runs

RUN = uuid4()


class Clock:
    """Time that passes only where it is waited for; `happens` is what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happens: Callable[[float], None] = lambda now: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.happens(self.now)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        if not event.is_set():
            self.sleep(seconds or 0)
        return event.is_set()


class World:
    """One running job in a workspace that cancels at once, and what the server says of its step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, reported: Callable[[UUID], set[UUID]]) -> None:
        self.clock = Clock()
        self.step_run = SimpleNamespace(id=uuid4(), pipeline_run_id=RUN, name="train", run_metadata={})
        self.job = JobHandle("job", status="Running", time=self.clock)
        self.cancelled_at: float | None = None
        monkeypatch.setattr(step_runs, "reported_ends", reported)

    def cancel(self, name: str) -> bool:
        self.cancelled_at = self.clock.now
        self.end("Canceled")
        return True

    def end(self, status: str) -> None:
        self.job.status = status
        self.job.settle()

    def run_is_over(self, reason: str = "the run is over (completed)") -> None:
        step_run = cast("Any", self.step_run)
        Canceller(lambda _: self.job, lambda _: cast("Any", self), self.clock).end_runs([step_run], reason)


def test_the_job_of_a_step_that_goes_on_is_cancelled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, lambda run: set())

    world.run_is_over()

    assert world.cancelled_at == 0


@pytest.mark.parametrize("status", ["Completed", "Finalizing"])
def test_the_job_of_a_step_that_has_reported_its_end_may_come_to_its_own(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(monkeypatch, lambda run: {world.step_run.id} if run == RUN else set())

    def happens(now: float) -> None:
        if now >= FINISHING.total_seconds() / 2:
            world.end(status) if status == "Completed" else setattr(world.job, "status", status)

    world.clock.happens = happens
    world.run_is_over()

    assert world.cancelled_at is None
    assert world.job.status == status


def test_a_job_that_goes_on_after_its_step_has_reported_its_end_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, lambda run: {world.step_run.id})

    world.run_is_over()

    assert world.cancelled_at == FINISHING.total_seconds()


def test_where_the_server_cannot_be_asked_the_job_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(run: UUID) -> set[UUID]:
        raise ConnectionError("The server is away.")

    world = World(monkeypatch, away)

    world.run_is_over()

    assert world.cancelled_at == 0


def test_whoever_interrupts_a_run_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, lambda run: {world.step_run.id})

    world.run_is_over(INTERRUPTED)

    assert world.cancelled_at == 0


def test_who_ends_a_job_that_another_thread_is_ending_waits_until_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """At exit the process would end in the middle of the other thread's cancel."""
    world = World(monkeypatch, lambda run: set())
    asked, may_cancel, over = threading.Event(), threading.Event(), threading.Event()
    cancel = world.cancel

    def cancel_slowly(name: str) -> bool:
        asked.set()
        may_cancel.wait(30)
        return cancel(name)

    monkeypatch.setattr(world, "cancel", cancel_slowly)
    step_run = cast("Any", world.step_run)
    ending = Canceller(lambda _: world.job, lambda _: cast("Any", world), world.clock)
    first = threading.Thread(target=lambda: ending.end([step_run]))

    def end_too() -> None:
        ending.end_runs([step_run], INTERRUPTED)
        over.set()

    second = threading.Thread(target=end_too)
    first.start()
    assert asked.wait(30)
    second.start()

    assert not over.wait(0.2)
    may_cancel.set()
    assert over.wait(30)
    assert world.job.status == "Canceled"
    first.join()
    second.join()


@pytest.mark.parametrize("status", ["Queued", "Running", "Finalizing", "Completed", "Failed", "Canceled"])
@pytest.mark.parametrize("reported", [True, False, None])
def test_a_step_that_has_its_own_end_keeps_it_when_another_one_fails(
    status: str, reported: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_reported(_step_run: Any) -> bool:
        if reported is None:
            raise ConnectionError("The server is away.")
        return reported

    world = World(monkeypatch, lambda run: set())
    monkeypatch.setattr(step_runs, "has_reported", has_reported)
    world.job.status = status
    step_run = cast("Any", world.step_run)
    ending = Canceller(lambda _: world.job, lambda _: cast("Any", world), world.clock)

    ending.cancel(step_run, "another step of the run has failed")

    has_its_own_end = bool(reported) or status not in ("Queued", "Running")
    assert (world.cancelled_at is None) is has_its_own_end
    assert ending.why(step_run) == ("" if has_its_own_end else "another step of the run has failed")


def test_a_job_that_appears_while_another_caller_looks_for_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, lambda run: set())
    looked, exists = threading.Event(), threading.Event()
    answers = []

    def cancel(name: str) -> bool:
        answers.append(exists.is_set())
        if not answers[-1]:
            looked.set()
            exists.wait(60)  # the first caller's answer is on its way while the job is created
            return False
        return World.cancel(world, name)

    monkeypatch.setattr(world, "cancel", cancel)
    step_run = cast("Any", world.step_run)
    canceller = Canceller(lambda _: world.job, lambda _: cast("Any", world), world.clock)
    first = threading.Thread(target=canceller.end, args=([step_run],))
    first.start()
    assert looked.wait(60)
    second = threading.Thread(target=canceller.end, args=([step_run],))
    second.start()
    second.join(0.2)  # it waits for the first one by now
    assert second.is_alive()

    exists.set()
    first.join(60)
    second.join(60)

    assert answers == [False, True]
    assert world.job.status == "Canceled"
