"""What noticing signals changes for a program: nothing, as long as it has no jobs."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading, time
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS

class Guard:
    busy = sys.argv[2] == "busy"

guard = Guard()
STOP_SIGNALS.guards.add(guard)
before = sys.argv[1]
if before == "ignored":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if before == "handled":
    signal.signal(signal.SIGTERM, lambda *_: print("handled"))
if before == "thread":
    thread = threading.Thread(target=STOP_SIGNALS.notice)
    thread.start()
    thread.join()
else:
    STOP_SIGNALS.notice()
STOP_SIGNALS.notice()
if before == "handled later":
    signal.signal(signal.SIGTERM, lambda *_: print("handled"))
    STOP_SIGNALS.notice()
check = STOP_SIGNALS.checker()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    check()
except BaseException as error:
    print(type(error).__name__)
    raise
print("went on")
"""


@pytest.mark.parametrize(
    ("before", "guard", "code", "printed"),
    [
        ("default", "idle", -signal.SIGTERM, ""),
        ("default", "busy", 128 + signal.SIGTERM, "SystemExit\n"),
        ("ignored", "busy", 0, "went on\n"),
        ("handled", "busy", 1, "handled\nRunInterruptedException\n"),
        ("handled later", "busy", 1, "handled\nRunInterruptedException\n"),
        ("thread", "idle", -signal.SIGTERM, ""),
    ],
)
def test_a_signal_does_what_it_did_unless_there_are_jobs_to_end(
    before: str, guard: str, code: int, printed: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, before, guard], capture_output=True, text=True, check=False, timeout=120
    )

    assert (done.returncode, done.stdout) == (code, printed), done.stderr
