"""A fork waits for the requests of other threads to ZenML's server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

import pytest

from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.run_store.fork_gate import ForkGate, begin_request
from zenml_azureml.run_store.server_retries import ServerRetries

T = TypeVar("T")
Request = Callable[[Callable[[], bool]], object]


def poll_a_run(request: Callable[[], bool]) -> object:
    """As the supervisor and callers that wait do."""
    return LatestAnswers(lambda _run: request(), False, timedelta(), SYSTEM_TIME).answer(uuid4())


def save_something(request: Callable[[], bool]) -> object:
    """As whatever publishes an end does."""
    return ServerRetries(timedelta(seconds=1)).run("saving", request)


@pytest.mark.parametrize("make", [poll_a_run, save_something])
def test_no_request_is_in_progress_in_a_forked_child(make: Request) -> None:
    inside, begun = threading.Event(), threading.Event()

    def request() -> bool:
        inside.set()
        begun.set()
        time.sleep(0.5)
        inside.clear()
        return True

    thread = threading.Thread(target=make, args=[request])
    thread.start()
    assert begun.wait(60)

    child = os.fork()
    if child == 0:
        os._exit(1 if inside.is_set() else 0)
    _, status = os.waitpid(child, 0)
    thread.join()

    assert os.waitstatus_to_exitcode(status) == 0


def test_requests_go_on_in_parent_and_child() -> None:
    child = os.fork()
    made = save_something(lambda: True)
    if child == 0:
        os._exit(0 if made is True else 1)
    _, status = os.waitpid(child, 0)

    assert made is True
    assert os.waitstatus_to_exitcode(status) == 0


def test_no_request_begins_while_a_fork_waits_for_another() -> None:
    gate, order = ForkGate(), list[str]()
    inside, leave, closing = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with gate.request():
            inside.set()
            assert leave.wait(60)
            order.append("first")

    def fork() -> None:
        closing.set()
        gate.close()
        order.append("fork")
        gate.open()

    def second() -> None:
        with gate.request():
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, fork, second)]
    threads[0].start()
    assert inside.wait(60)
    threads[1].start()
    assert closing.wait(60)
    until = time.monotonic() + 5
    while not gate._closed and time.monotonic() < until:
        time.sleep(0.001)
    threads[2].start()
    time.sleep(0.05)  # it would pass now if the gate were open
    leave.set()
    for thread in threads:
        thread.join(60)

    assert order == ["first", "fork", "second"]


class Noted(threading.Condition):
    """A condition that notes whether it is met when it is waited for, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[bool] = []

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        found = predicate()
        self.met.append(bool(found))
        return found


@pytest.fixture
def gate() -> tuple[ForkGate, list[bool]]:
    gate = ForkGate()
    gate._condition = noted = Noted()
    return gate, noted.met


def test_a_fork_waits_for_the_requests_inside_and_for_no_others(gate: tuple[ForkGate, list[bool]]) -> None:
    one, met = gate
    with one.request(), one.request():
        one.close()
    one.close()

    assert met == [True, True, False, True]


def test_a_request_waits_while_the_gate_is_closed(gate: tuple[ForkGate, list[bool]]) -> None:
    one, met = gate
    one.close()
    with one.request():
        pass
    one.open()
    with one.request():
        pass

    assert met == [True, False, True]


def test_a_forked_child_has_an_open_gate_and_no_requests(gate: tuple[ForkGate, list[bool]]) -> None:
    one, _ = gate
    with one.request():
        one.close()
        one.renew()
        one._condition = noted = Noted()
        with one.request():
            pass
        one.close()

    assert noted.met == [True, True]


def test_a_request_without_an_answer_does_not_keep_the_process_from_its_end() -> None:
    outcome, done = begin_request(lambda: threading.current_thread().daemon)

    assert done.wait(60)
    assert outcome.result() is True


def test_a_request_is_made_by_its_caller_if_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from Python 3.12 on, once the interpreter has begun to shut down."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    outcome, done = begin_request(threading.current_thread)

    assert done.is_set()
    assert outcome.result(0) is threading.current_thread()
