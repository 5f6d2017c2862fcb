"""The handlers of signals, in this process: where they are set, and what they call."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from zenml.exceptions import RunInterruptedException

from zenml_azureml.lifecycle import stop_signals
from zenml_azureml.lifecycle.stop_signals import SIGNALS, StopSignals, _Handler


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    """Signals of their own, which the process has again as they were afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield StopSignals()
    for number, handler in before.items():
        signal.signal(number, handler)


class Guard:
    """Something with jobs, or without."""

    def __init__(self, busy: bool) -> None:
        self.busy = busy


def on_a_thread(*work: Callable[[], Any]) -> list[Any]:
    """What functions return on one thread beside the main one."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(each() for each in work))
    thread.start()
    thread.join(60)
    return found


def test_the_main_thread_sets_a_handler_for_each_signal_once(signals: StopSignals) -> None:
    assert signals.unnoticed == ["SIGINT", "SIGTERM"]
    signals.notice()
    handlers = [signal.getsignal(number) for number in SIGNALS]
    signals.notice()

    assert all(isinstance(handler, _Handler) for handler in handlers)
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert signals.unnoticed == []
    assert signals.warning("my-run") == ""


def test_a_signal_that_is_ignored_stays_ignored_in_this_process(signals: StopSignals) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signals.notice()

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    assert isinstance(signal.getsignal(signal.SIGINT), _Handler)


def test_another_thread_can_only_warn_of_the_signals_that_it_does_not_notice(signals: StopSignals) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    _, warning = on_a_thread(signals.notice, lambda: signals.warning("my-run"))

    assert "zenml pipeline runs stop my-run --graceful" in warning
    assert [signal.getsignal(number) for number in SIGNALS] == before
    signals.notice()
    assert on_a_thread(lambda: signals.warning("my-run")) == [""]


def test_each_thread_looks_for_an_event_loop_once_and_none_when_the_signals_are_noticed(
    signals: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []
    monkeypatch.setattr(signals, "_have_event_loop_set_handlers", lambda: searched.append("looked"))
    on_a_thread(signals.notice, signals.notice)
    assert len(searched) == 1
    on_a_thread(signals.notice)
    assert len(searched) == 2
    signals.notice()
    on_a_thread(signals.notice)
    assert len(searched) == 2


def test_the_event_loop_of_the_main_thread_sets_them_before_the_thread_goes_on(signals: StopSignals) -> None:
    def notice() -> list[str]:
        signals.notice()
        return signals.unnoticed

    async def main() -> list[str]:
        return await asyncio.to_thread(notice)

    assert asyncio.run(main()) == []
    assert all(isinstance(signal.getsignal(number), _Handler) for number in SIGNALS)


def test_the_event_loop_of_another_thread_cannot_set_them(
    signals: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_signals, "_LOOP_TAKES", 0.2)

    async def main() -> None:
        await asyncio.to_thread(signals.notice)

    on_a_thread(lambda: asyncio.run(main()))

    assert signals.unnoticed == ["SIGINT", "SIGTERM"]


def test_a_signal_is_counted_and_goes_to_the_handler_before(signals: StopSignals) -> None:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    signals.notice()
    before = signals.last
    signal.raise_signal(signal.SIGTERM)

    assert signals.number == 1
    assert received == [signal.SIGTERM]
    assert (before, signals.last) == (signal.SIGINT, signal.SIGTERM)


def test_a_signal_that_a_replacing_handler_passes_on_is_counted_only(signals: StopSignals) -> None:
    received: list[int] = []
    handler = _Handler(signals, lambda number, _frame: received.append(number))

    def of_zenml(number: int, frame: Any) -> None:
        handler(number, frame)

    signal.signal(signal.SIGTERM, of_zenml)
    signal.raise_signal(signal.SIGTERM)

    assert (signals.number, received) == (1, [])
    handler(signal.SIGTERM, None)
    assert (signals.number, received) == (2, [signal.SIGTERM])


@pytest.mark.parametrize("busy", [[False, True], [True], [False], []])
def test_without_a_handler_before_the_process_ends_with_its_jobs_or_at_once(
    busy: list[bool], signals: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    guards = [Guard(each) for each in busy]
    signals.guards.update(guards)
    handler = _Handler(signals, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, handler)
    if any(busy):
        with pytest.raises(SystemExit) as ended:
            handler(signal.SIGTERM, None)
        assert ended.value.code == 143
    else:
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", lambda *arguments: killed.append(arguments))
            handler(signal.SIGTERM, None)
        assert killed == [(os.getpid(), signal.SIGTERM)]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_check_raises_after_a_signal_that_came_since(signals: StopSignals) -> None:
    signals.number = 3
    check = signals.checker()
    check()
    signals.number += 1
    with pytest.raises(RunInterruptedException):
        check()
    signals.checker()()


@pytest.mark.parametrize("last", [KeyboardInterrupt, ValueError, None])
@pytest.mark.parametrize("lives", [True, False])
def test_a_check_raises_when_ctrl_c_has_ended_the_main_thread(
    last: Any, lives: bool, signals: StopSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "last_type", last, raising=False)
    check, raised = signals.checker(), False
    with monkeypatch.context() as patched:
        patched.setattr(threading, "main_thread", lambda: SimpleNamespace(is_alive=lambda: lives))
        try:
            check()
        except RunInterruptedException:
            raised = True

    assert raised is (last is KeyboardInterrupt and not lives)
