"""The loop of the watcher: when it asks, when it ends the step, and what it leaves alone. Time passes as it sleeps."""

from __future__ import annotations

import os
import random
import select
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.in_job.answering import RUN, STEP_RUN, entity
from zenml_azureml.contract import variables
from zenml_azureml.contract.own_end import reason_in
from zenml_azureml.in_job.watcher import loop
from zenml_azureml.in_job.watcher.loop import watch, watch_server, watched_step
from zenml_azureml.in_job.watcher.node import Node
from zenml_azureml.in_job.watcher.over import MOST_UNANSWERED, NoAnswerError, WatchedStep
from zenml_azureml.in_job.watcher.step_process import Process

INTERVAL = 60.0

#: How far a clock of floating-point numbers may be off.
ROUNDING = 1e-6


class EnoughError(Exception):
    """The test has seen enough."""


class World:
    """A server whose answers a test chooses by their number, from 1, and a clock."""

    def __init__(self, answer: Callable[[int], str]) -> None:
        self.answer = answer
        self.now = 0.0
        self.asked: list[float] = []
        self.slept: list[float] = []
        self.written: list[str] = []

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 10_000, "it sleeps without an end"
        self.slept.append(seconds)
        self.now += seconds

    def ask(self, path: str, _parameters: Mapping[str, str]) -> dict[str, Any]:
        if path.startswith("runs/"):
            return entity(RUN, "running")
        self.asked.append(self.now)
        status = self.answer(len(self.asked))
        if not status:
            raise NoAnswerError("HTTP 503")
        return entity(STEP_RUN, status)

    def watch(self, node: Any = None, interval: float = INTERVAL) -> str:
        return watch_server(
            WatchedStep(STEP_RUN, RUN),
            self.ask,
            interval,
            cast("Node | None", node),
            self.written.append,
            sleep=self.sleep,
            clock=lambda: self.now,
        )


def statuses(*found: str) -> Callable[[int], str]:
    """These answers, and the last one from then on; the empty one is none."""
    return lambda number: found[min(number, len(found)) - 1]


def ending_after(number: int, status: str = "running") -> Callable[[int], str]:
    def answer(asked: int) -> str:
        if asked > number:
            raise EnoughError
        return status

    return answer


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_it_asks_once_in_each_interval_and_at_no_fixed_moment(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: low + factor * (high - low))
    world = World(ending_after(4))
    with pytest.raises(EnoughError):
        world.watch()

    first, between = INTERVAL * (0.25 + 0.75 * factor), INTERVAL * (0.75 + 0.5 * factor)
    assert world.asked == pytest.approx([first + number * between for number in range(5)])
    assert len(world.slept) == 5, "it sleeps until it asks, and not in between"
    assert world.written == []


def test_two_answers_in_a_row_that_the_step_is_over_end_it() -> None:
    world = World(statuses("running", "stopped", "running", "stopped", "stopped"))

    assert world.watch() == "its step run is stopped"
    assert len(world.asked) == 5


def test_no_answer_between_two_that_say_over_counts_as_one_that_does_not() -> None:
    world = World(statuses("stopped", "", "stopped", "stopped"))

    assert world.watch() == "its step run is stopped"
    assert len(world.asked) == 4
    assert world.written == []


def test_it_gives_up_after_ten_polls_in_a_row_without_an_answer_and_says_so_once() -> None:
    world = World(statuses(*[""] * (MOST_UNANSWERED - 1), "running", ""))

    assert world.watch() == ""
    assert len(world.asked) == 2 * MOST_UNANSWERED
    (line,) = world.written
    assert "HTTP 503" in line
    assert "The step keeps running" in line


class Ranks:
    """The other watchers of a node."""

    def __init__(self, world: World, *, asks: bool = True, shares_at: float = float("inf")) -> None:
        self.world = world
        self.is_asking = asks
        self.shares_at = shares_at
        self.shared: list[str] = []

    def reason(self) -> str:
        return "another watcher's" if self.world.now >= self.shares_at else ""

    def asks(self) -> bool:
        return self.is_asking

    def share(self, reason: str) -> None:
        self.shared.append(reason)


def test_the_watcher_that_asks_shares_what_it_finds() -> None:
    world = World(statuses("stopped"))
    ranks = Ranks(world)

    assert world.watch(ranks) == "its step run is stopped"
    assert ranks.shared == ["its step run is stopped"]
    assert len(world.asked) == 2


def test_a_watcher_beside_the_one_that_asks_asks_nothing_and_ends_within_a_second_of_it() -> None:
    world = World(statuses("stopped"))
    ranks = Ranks(world, asks=False, shares_at=500.0)

    assert world.watch(ranks) == "another watcher's"
    assert world.asked == []
    assert ranks.shared == []
    assert 500.0 <= world.now <= 501.0 + ROUNDING
    assert max(world.slept) <= 1.0


def test_a_watcher_that_looks_for_others_each_second_still_asks_only_once_in_each_interval() -> None:
    world = World(ending_after(3))
    with pytest.raises(EnoughError):
        world.watch(Ranks(world))

    pauses = [after - before for before, after in zip(world.asked, world.asked[1:], strict=False)]
    assert all(0.75 * INTERVAL - ROUNDING <= pause <= 1.25 * INTERVAL + 1 for pause in pauses), pauses


ENVIRONMENT = {
    variables.STEP_RUN_ID: STEP_RUN,
    variables.RUN_ID: RUN,
    variables.STOP_CHECK_SECONDS: "60",
    variables.STORE_URL: "https://zenml.example",
}


def test_the_step_to_watch_is_in_the_environment() -> None:
    parents = {variables.PARENT_RUN_IDS: " one,, two ", variables.RUN_MODE: "FAIL_FAST"}

    assert watched_step(ENVIRONMENT) == WatchedStep(STEP_RUN, RUN)
    assert watched_step({**ENVIRONMENT, **parents}) == WatchedStep(STEP_RUN, RUN, "fail_fast", ("one", "two"))


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_nothing_is_watched_if_one_of_the_variables_is_missing(name: str) -> None:
    assert watched_step({key: value for key, value in ENVIRONMENT.items() if key != name}) is None


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", ""])
def test_nothing_is_watched_without_an_interval(seconds: str) -> None:
    assert watched_step({**ENVIRONMENT, variables.STOP_CHECK_SECONDS: seconds}) is None


class Step:
    """The step's process, which ends if it is asked to, unless the kernel protects it."""

    def __init__(self, *, is_protected: bool = False, ending_takes: float = 0.0) -> None:
        self.is_protected = is_protected
        self.ending_takes = ending_takes
        self.is_ending = threading.Event()
        self.waited_for = 0
        self.ended: list[float] = []

    def wait(self) -> bool:
        self.waited_for += 1
        for thread in threading.enumerate():
            if thread.name == "zenml-azureml-watcher":
                while thread.is_alive() and not self.is_ending.wait(0.01):
                    pass
        return True

    def end(self, grace_seconds: float) -> bool:
        self.is_ending.set()
        threading.Event().wait(self.ending_takes)
        self.ended.append(grace_seconds)
        return not self.is_protected


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def watched(step: Step, log: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a watcher writes to the log of the job."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    try:
        watch(cast("Process", step), WatchedStep(STEP_RUN, RUN), environment or ENVIRONMENT, descriptor, descriptor)
    finally:
        os.close(descriptor)
    return log.read_text()


@pytest.mark.parametrize("is_protected", [False, True])
def test_a_step_that_is_over_is_ended_after_the_line_that_says_why(
    is_protected: bool, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "watch_server", lambda *_: "its run is stopped")
    step = Step(is_protected=is_protected)

    written = watched(step, log)

    assert step.ended == [loop.GRACE_SECONDS]
    assert [reason for line in written.splitlines() if (reason := reason_in(line))] == ["its run is stopped"]
    assert ("has not ended" in written) is is_protected


def test_a_step_that_is_not_over_is_left_alone(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "watch_server", lambda *_: "")
    step = Step()

    assert watched(step, log) == ""
    assert step.ended == []
    assert step.waited_for == 1


def test_the_watcher_stays_until_the_descendants_of_a_step_that_it_ends_have_ended_too(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "watch_server", lambda *_: "its run is stopped")
    step = Step(ending_takes=0.3)

    watched(step, log)

    assert step.ended == [loop.GRACE_SECONDS]


def test_whatever_fails_in_the_watcher_the_step_keeps_running(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: Any) -> str:
        raise RuntimeError("a fault of the watcher")

    monkeypatch.setattr(loop, "watch_server", fails)
    step = Step()

    assert watched(step, log) == ""
    assert step.ended == []


@pytest.mark.parametrize("is_shared", [True, False])
def test_the_ranks_of_a_node_share_what_they_find(is_shared: bool, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def note(_step: WatchedStep, _ask: Any, interval: float, node: Node | None, _write: Any) -> str:
        given.append((interval, node is not None))
        return ""

    monkeypatch.setattr(loop, "watch_server", note)
    shared = {variables.SHARED_NODE: "1"} if is_shared else {}
    watched(Step(), log, {**ENVIRONMENT, **shared})

    assert given == [(60.0, is_shared)]


def test_a_line_stands_alone_and_is_no_longer_than_a_pipe_takes_at_once(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    loop._write(descriptor, "one\ntwo " + "x" * 10_000)
    os.close(descriptor)

    assert log.read_bytes().startswith(b"\none two x")
    assert len(log.read_bytes()) == loop._MOST_BYTES


def test_a_pipe_without_a_reader_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 65_536)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)  # a write would now wait without an end
    waited: list[int] = []

    class Poll:
        def register(self, descriptor: int, events: int) -> None:
            assert (descriptor, events) == (writer, select.POLLOUT)

        def poll(self, milliseconds: int) -> list[Any]:
            waited.append(milliseconds)
            return []

    monkeypatch.setattr(select, "poll", Poll)
    loop._write(writer, "a line")
    os.close(reader)
    os.close(writer)

    assert waited == [1000]


def test_the_watcher_stays_for_the_last_report_of_the_sampler(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(_process: Process, _environment: Mapping[str, str], over: threading.Event, write: loop.Write) -> None:
        over.wait()
        threading.Event().wait(0.3)
        write("the last report")

    monkeypatch.setattr(loop, "watch_server", lambda *_: "")
    monkeypatch.setattr(loop, "sample", sample)

    assert watched(Step(), log, {**ENVIRONMENT, variables.SAMPLING: "1"}) == "the last report\n"
