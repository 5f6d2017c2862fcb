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
from tests.chaos.shared_clock import SharedClock

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
    except BaseException as error:  # noqa: BLE001 - as the interpreter, whatever it is
        traceback.print_exc()
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


class BrokenRunnerError(Exception):
    """What the runner raises where an exception is planned."""


class StepFailedError(Exception):
    """What the code of a step that is a function raises where a failure is planned."""


def run(
    schedule: Schedule,
    suite: socket.socket,
    clock: SharedClock,
    mutate: Callable[[], None],
    *,
    restarted: bool = False,
) -> None:
    """Run the pipeline of a schedule; the work of a forked process.

    Args:
        schedule: What is planned.
        suite: The way back to the suite.
        clock: The time.
        mutate: Breaks the operator, where that is wanted.
        restarted: Whether a process before this one has begun to, and was killed.
    """
    from tests.chaos import pipelines
    from tests.chaos.wire import Wire

    # Where the suite is run in the background of a shell, SIGINT is ignored, and nothing would come of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, _break)
    use(clock)
    mutate()
    Wire(schedule, suite, clock, restarted=restarted).install()
    if restarted:
        pipelines.go_on(schedule)
    else:
        pipelines.run(schedule)


def recover(command: tuple[str, ...], clock: SharedClock, mutate: Callable[[], None]) -> None:
    """Carry out a command about a run whose process was killed; the work of a forked process.

    Args:
        command: Arguments of `zenml-azureml`.
        clock: The time.
        mutate: Breaks the operator, where that is wanted.
    """
    from tests.chaos.wire import RECOVERY, mark_requests

    use(clock)
    mark_requests(RECOVERY)
    carry_out(command, mutate)


def carry_out(command: tuple[str, ...], mutate: Callable[[], None]) -> None:
    """Carry out a command; the work of a forked process.

    Args:
        command: Arguments of `zenml-azureml`.
        mutate: Breaks the operator, where that is wanted.
    """
    from zenml_azureml.cli import main

    mutate()
    main([*command], prog_name="zenml-azureml")


def use(clock: SharedClock) -> None:
    """Have all that is the operator's in this process go by a clock."""
    from zenml_azureml.step_operator import AzureMLStepOperator

    AzureMLStepOperator.time = clock
    clock.install()


def _break(_number: int, _frame: object) -> None:
    raise BrokenRunnerError("Something in the runner broke.")
