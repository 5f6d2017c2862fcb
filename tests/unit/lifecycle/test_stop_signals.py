"""Signals that a thread beside the main one has to notice: a real process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e import warm

PROGRAM = """
import threading, time

from zenml.exceptions import RunInterruptedException
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS

def work():
    check = STOP_SIGNALS.checker()
    check()
    print("before", flush=True)
    began.set()
    threading.main_thread().join()
    try:
        check()
    except RunInterruptedException:
        print("noticed", flush=True)

began = threading.Event()
threading.Thread(target=work).start()
began.wait()
raise ENDING
"""


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "program.py"
    path.write_text(program)
    return warm.run([str(path)], os.environ, folder)


def test_a_thread_notices_that_ctrl_c_has_ended_the_main_thread(tmp_path: Path) -> None:
    assert run(PROGRAM.replace("ENDING", "KeyboardInterrupt"), tmp_path).stdout.split() == ["before", "noticed"]


def test_another_end_of_the_main_thread_is_no_interruption(tmp_path: Path) -> None:
    assert run(PROGRAM.replace("ENDING", "ValueError"), tmp_path).stdout.split() == ["before"]


def test_a_signal_that_is_ignored_stays_ignored_and_another_is_noticed_once(tmp_path: Path) -> None:
    program = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as `nohup` does
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
STOP_SIGNALS.notice()
first = signal.getsignal(signal.SIGINT)
STOP_SIGNALS.notice()
print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, signal.getsignal(signal.SIGINT) is first)
"""
    done = run(program, tmp_path)

    assert done.stdout.split() == ["True", "True"]


def test_a_user_is_warned_of_signals_that_are_not_noticed_until_the_main_thread_has_seen_to_it(tmp_path: Path) -> None:
    program = """
import threading
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
told = []
worker = threading.Thread(target=lambda: (STOP_SIGNALS.notice(), told.append(STOP_SIGNALS.warning("my-run"))))
worker.start()
worker.join()
print("runs stop my-run" in told[0])
STOP_SIGNALS.notice()
print(STOP_SIGNALS.warning("my-run") == "")
"""
    done = run(program, tmp_path)

    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.parametrize(("replaced", "code", "printed"), [(True, 0, ["own", "noticed"]), (False, -15, [])])
def test_a_handler_that_another_one_has_replaced_leaves_the_end_to_that(
    replaced: bool, code: int, printed: list[str], tmp_path: Path
) -> None:
    program = f"""
import os, signal
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
STOP_SIGNALS.notice()
number, first = STOP_SIGNALS.number, signal.getsignal(signal.SIGTERM)
def own(*arguments):
    print("own", flush=True)
    first(*arguments)  # as ZenML's handler does
if {replaced}:
    signal.signal(signal.SIGTERM, own)
os.kill(os.getpid(), signal.SIGTERM)
print("noticed" if STOP_SIGNALS.number > number else "missed", flush=True)
"""
    done = run(program, tmp_path)

    assert done.returncode == code, done.stderr
    assert done.stdout.split() == printed
