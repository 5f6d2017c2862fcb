"""Signals that a thread beside the main one has to notice: a real process."""

from __future__ import annotations

import subprocess
import sys

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


def _run(ending: str) -> list[str]:
    program = PROGRAM.replace("ENDING", ending)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout.split()


def test_a_thread_notices_that_ctrl_c_has_ended_the_main_thread() -> None:
    assert _run("KeyboardInterrupt") == ["before", "noticed"]


def test_another_end_of_the_main_thread_is_no_interruption() -> None:
    assert _run("ValueError") == ["before"]


def test_a_signal_that_is_ignored_stays_ignored_and_another_is_noticed_once() -> None:
    program = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as `nohup` does
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
STOP_SIGNALS.notice()
first = signal.getsignal(signal.SIGINT)
STOP_SIGNALS.notice()
print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, signal.getsignal(signal.SIGINT) is first)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)

    assert done.stdout.split() == ["True", "True"]
