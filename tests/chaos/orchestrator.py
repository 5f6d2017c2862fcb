"""The process that a schedule is about: forked from a warm one, it runs a pipeline and ends as programs end."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.chaos.schedule import Schedule

#: By this signal a process writes down where its threads are.
TELL_STACKS = signal.SIGUSR2


def fork(output: Path, work: Callable[[], None]) -> int:
    """Fork a process that does some work and ends as a Python program does, its output in a file.

    Returns:
        Its process id. Its exit code is 0, 1 after an exception, or what `sys.exit` was given.
    """
    process = os.fork()
    if process == 0:
        code = 1
        gc.disable()  # it would copy the memory that is shared with the parent
        try:
            _redirect(output)
            code = _run(work)
        finally:
            os._exit(code)
    return process


def _redirect(output: Path) -> None:
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.register(TELL_STACKS, file=2, all_threads=True)


def _run(work: Callable[[], None]) -> int:
    code = _outcome(work)
    # What the interpreter does at the end of a program, without taking itself apart, which takes longest.
    code = _outcome(threading._shutdown) or code  # type: ignore[attr-defined]
    code = _outcome(atexit._run_exitfuncs) or code
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _outcome(work: Callable[[], None]) -> int:
    try:
        work()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter, whatever it is
        traceback.print_exc()
        return 1
    return 0


class BrokenRunnerError(Exception):
    """What the runner raises where an exception is planned."""


def run(schedule: Schedule, suite: socket.socket, factor: float, mutate: Callable[[], None]) -> None:
    """Run the pipeline of a schedule; the work of a forked process.

    Args:
        schedule: What is planned.
        suite: The way back to the suite.
        factor: How many times as fast as the machine's the time is.
        mutate: Breaks the operator, where that is wanted.
    """
    from tests.chaos import pipelines
    from tests.chaos.scaled_time import ScaledTime
    from tests.chaos.wire import Wire
    from zenml_azureml.step_operator import AzureMLStepOperator

    signal.signal(signal.SIGUSR1, _break)
    time = ScaledTime(factor)
    AzureMLStepOperator.time = time
    time.install()
    mutate()
    Wire(schedule, suite).install()
    pipelines.run(schedule)


def _break(_number: int, _frame: object) -> None:
    raise BrokenRunnerError("Something in the runner broke.")
