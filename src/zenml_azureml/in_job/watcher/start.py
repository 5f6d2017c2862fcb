"""Starts the watcher of a step from the process that becomes the step, so that the step sees nothing of it. Linux.

The step keeps its process, so the watcher cannot be its parent. It is no child of it either, which the step could wait
for: its own parent has ended, and the first process of the container has taken it over. If the step is that process
itself, the watcher is a child that the kernel hides from `wait` (see `_hidden_child`).
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from zenml_azureml.in_job.sampler.start import is_wanted
from zenml_azureml.in_job.watcher.loop import watch, watched_step
from zenml_azureml.in_job.watcher.step_process import Process, process_with

_GET_CHILD_SUBREAPER: Final = 37
#: Number of the system call `clone`, by machine.
_CLONE: Final = {"x86_64": 56, "aarch64": 220}


def start(environment: Mapping[str, str]) -> None:
    """Start a watcher of this process, or a sampler, if the environment asks for one.

    Args:
        environment: Of the job, with its secrets.

    Raises:
        OSError: If it cannot be started.
    """
    process = process_with(os.getpid())
    if process is None or not (is_wanted(environment) or watched_step(environment)):
        return
    if _takes_over_orphans():
        if _hidden_child() == 0:
            _become_watcher(process, environment)
        return
    between = os.fork()
    if between == 0:
        try:
            os.setsid()  # signals to the step's process group and terminal are not for the watcher
            if os.fork() == 0:
                _become_watcher(process, environment)
        finally:
            os._exit(0)
    with suppress(ChildProcessError):
        os.waitpid(between, 0)


def _become_watcher(process: Process, environment: Mapping[str, str]) -> None:
    """Watch until the step has ended, and end."""
    try:
        with suppress(OSError):
            os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        log, output = _let_go_of_descriptors()
        with suppress(OSError):
            os.chdir("/")
            Path("/proc/self/comm").write_text("zenml-watcher")
        watch(process, watched_step(environment), environment, log, output)
    finally:
        os._exit(0)


def _let_go_of_descriptors() -> tuple[int, int]:
    """Close all descriptors but those of the job's log and output: another one would keep a pipe open.

    Returns:
        The descriptors of errors, and of output.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    log, output = _duplicate(2, nothing), _duplicate(1, nothing)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in (log, output):
            with suppress(OSError):
                os.close(number)
    return log, output


def _duplicate(number: int, otherwise: int) -> int:
    try:
        return os.dup(number)
    except OSError:  # it is closed
        return os.dup(otherwise)


def _takes_over_orphans() -> bool:
    """True if this process becomes the parent of processes whose own parent has ended."""
    if os.getpid() == 1:
        return True
    answer = ctypes.c_int(0)
    libc = ctypes.CDLL(None)
    return libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0) == 0 and answer.value != 0


def _hidden_child() -> int:
    """Fork a child that `wait` does not find: one whose end is signalled by no signal (clone(2), `__WCLONE`).

    Raises:
        OSError: If that is not possible here.
    """
    number = _CLONE.get(platform.machine())
    if number is None:
        raise OSError(f"no way to start a watcher beside the first process of a container on {platform.machine()}")
    libc = ctypes.PyDLL(None, use_errno=True)  # which keeps the interpreter's lock, as `os.fork` does
    child = int(libc.syscall(*(ctypes.c_long(argument) for argument in (number, 0, 0, 0, 0, 0))))
    if child < 0:
        raise OSError(ctypes.get_errno(), "the kernel did not start a watcher")
    return child
