"""A step's process, as the watcher beside it sees and ends it: real processes, and signals that are noted."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contract.waiting import eventually
from zenml_azureml.contract.own_end import OWN_SIGNAL
from zenml_azureml.in_job.watcher import step_process
from zenml_azureml.in_job.watcher.step_process import Process, process_with

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a shell with a script; the script prints a line when it is ready."""
    started: list[subprocess.Popen[str]] = []

    def begin(script: str) -> subprocess.Popen[str]:
        shell = subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(shell)
        assert shell.stdout is not None
        assert shell.stdout.readline()
        return shell

    yield begin
    for shell in started:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()


def found(shell: subprocess.Popen[str]) -> Process:
    process = process_with(shell.pid)
    assert process is not None
    return process


def finish(shell: subprocess.Popen[str]) -> None:
    """Let a shell that reads a line go on, without waiting for its end."""
    assert shell.stdin is not None
    shell.stdin.write("\n")
    shell.stdin.flush()


def test_a_process_that_has_ended_does_not_live_even_if_its_parent_has_not_noticed(start: Start) -> None:
    shell = start("echo; read line")
    process = found(shell)
    assert process.lives()

    finish(shell)

    assert process.wait(20)
    assert not process.lives()
    assert Path(f"/proc/{shell.pid}").exists()  # a zombie
    shell.wait(timeout=20)
    assert not process.lives()
    assert process_with(shell.pid) is None


def test_another_process_with_its_number_is_left_alone(start: Start) -> None:
    shell = start("echo; read line")
    process = found(shell)
    earlier = Process(process.pid, str(int(process.started) - 1))

    earlier.send(signal.SIGKILL)

    assert not earlier.lives()
    assert earlier.wait(20)
    assert process.lives()
    process.send(signal.SIGKILL)
    assert shell.wait(timeout=20) == -signal.SIGKILL


def test_a_signal_to_a_process_that_has_just_ended_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "lives", lambda _self: True)

    def gone(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)

    Process(2**22 + 1, "1").send(signal.SIGTERM)


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_a_wait_ends_with_the_process_or_after_its_time_and_keeps_no_descriptor(
    has_descriptors: bool, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    closed: list[int] = []
    pidfd_open, close = os.pidfd_open, os.close

    def open_if_possible(pid: int) -> int:
        if not has_descriptors:
            raise OSError(38, "Function not implemented")
        opened.append(pidfd_open(pid))
        return opened[-1]

    def noting(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr(os, "pidfd_open", open_if_possible)
    monkeypatch.setattr(os, "close", noting)
    shell = start("echo; read line")
    process = found(shell)
    closed.clear()

    assert not process.wait(0.05)
    finish(shell)
    assert process.wait(20)
    assert process.wait(0)

    assert len(opened) == (3 if has_descriptors else 0)
    assert [descriptor for descriptor in closed if descriptor in opened] == opened


def test_a_wait_sleeps_until_the_process_ends_and_does_not_look_meanwhile(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = start("echo; read line")
    process, slept = found(shell), []

    def passes(reading: list[int], _writing: list[int], _failing: list[int], seconds: float) -> None:
        slept.append((len(reading), seconds))
        finish(shell)
        shell.wait(timeout=20)

    monkeypatch.setattr(select, "select", passes)
    assert process.wait()

    assert slept == [(1, 60)]


@pytest.mark.parametrize(("seconds", "pauses"), [(None, 0.25), (100, 0.25), (0.1, 0.1)])
def test_without_descriptors_it_looks_at_the_process_four_times_a_second(
    seconds: float | None, pauses: float, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    shell = start("echo; read line")
    process, slept, now = found(shell), list[float](), [0.0]

    def sleep(pause: float) -> None:
        slept.append(pause)
        now[0] += pause
        if len(slept) == 3:
            os.kill(shell.pid, signal.SIGKILL)
            os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    is_over = process.wait(seconds)
    monkeypatch.undo()

    assert is_over is (seconds != 0.1)
    assert slept == [pauses] * (1 if seconds == 0.1 else 3)


def test_it_handles_the_signals_that_it_has_handlers_for(start: Start) -> None:
    process = found(start("trap : USR1; trap '' USR2; echo; read line"))

    handled = [number for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2) if process.handles(number)]

    assert handled == [signal.SIGUSR1]
    assert not Process(2**22 + 1, "1").handles(signal.SIGUSR1)


def test_its_descendants_are_its_children_and_their_children(start: Start) -> None:
    shell = start("sleep 60 & sh -c 'setsid sleep 60 & echo; wait' & wait")
    process = found(shell)

    def names() -> list[str]:
        tree = process.descendants()
        assert all(each.lives() for each in tree)
        return sorted(Path(f"/proc/{each.pid}/comm").read_text().strip() for each in tree)

    assert eventually(lambda: names() == ["sh", "sleep", "sleep"])
    for child in process.descendants():
        child.send(signal.SIGKILL)


def test_the_watcher_itself_is_none_of_the_descendants_that_it_ends() -> None:
    parent, me = process_with(os.getppid()), process_with(os.getpid())

    assert parent is not None
    assert me is not None
    assert me not in parent.descendants()


class Signals:
    """Processes to which signals are noted and not sent.

    Args:
        monkeypatch: Replaces methods of `Process`.
        handled: The signals that the step has handlers for.
        ends_at: The signal after which it does not live any more; None for none.
        waits: The times for which its end is waited for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, handled: set[int], ends_at: int | None) -> None:
        self.sent: list[tuple[int, int]] = []
        self.waits: list[float | None] = []

        def wait(_process: Process, seconds: float | None = None) -> bool:
            self.waits.append(seconds)
            return False

        def lives(process: Process) -> bool:
            return (process.pid, ends_at) not in self.sent and (process.pid, int(signal.SIGKILL)) not in self.sent

        monkeypatch.setattr(Process, "handles", lambda _self, number: number in handled)
        monkeypatch.setattr(Process, "send", lambda process, number: self.sent.append((process.pid, int(number))))
        monkeypatch.setattr(Process, "lives", lives)
        monkeypatch.setattr(Process, "wait", wait)
        monkeypatch.setattr(Process, "descendants", lambda _self: [Process(7, "1")])


TERM, KILL, INT = int(signal.SIGTERM), int(signal.SIGKILL), int(signal.SIGINT)


@pytest.mark.parametrize(
    ("handled", "ends_at", "sent"),
    [
        (set(), OWN_SIGNAL, [OWN_SIGNAL]),
        (set(), None, [OWN_SIGNAL, KILL]),
        ({TERM}, TERM, [TERM]),
        ({TERM}, OWN_SIGNAL, [TERM, OWN_SIGNAL]),
        ({TERM, OWN_SIGNAL}, None, [TERM, OWN_SIGNAL, KILL]),
    ],
)
def test_a_step_gets_one_signal_after_the_other_until_it_ends_and_its_descendants_are_killed(
    handled: set[int], ends_at: int | None, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = Signals(monkeypatch, handled, ends_at)

    assert Process(40, "1").end(30)

    assert [number for pid, number in signals.sent if pid == 40] == sent
    assert {number for pid, number in signals.sent if pid == 7} == {KILL}
    assert signals.sent[-1] == (7, KILL)
    assert signals.waits == [30 if number == TERM else step_process._DYING_SECONDS for number in sent]


@pytest.mark.parametrize(
    ("handled", "ends_at", "sent", "is_over"),
    [
        (set(), None, [], False),
        ({INT}, INT, [INT], True),
        ({INT}, None, [INT], False),
        ({TERM}, TERM, [TERM], True),
        ({TERM, OWN_SIGNAL}, None, [TERM], False),
    ],
)
def test_the_first_process_of_a_container_gets_only_signals_that_it_handles(
    handled: set[int], ends_at: int | None, sent: list[int], is_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = Signals(monkeypatch, handled, ends_at)

    assert Process(1, "1").end(30) is is_over

    assert [number for pid, number in signals.sent if pid == 1] == sent
    assert signals.sent[-1] == (7, KILL)


def test_descendants_that_a_handler_has_started_are_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(monkeypatch, {TERM}, None)
    trees = iter([[Process(7, "1")], [Process(7, "1"), Process(8, "1")]])
    monkeypatch.setattr(Process, "descendants", lambda _self: next(trees))

    Process(40, "1").end(30)

    assert (8, KILL) in signals.sent
