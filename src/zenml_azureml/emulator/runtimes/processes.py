"""The processes that jobs have started: finding them all, and ending them.

A job's processes share a process group, and a home that no other process has. The home also finds
those that have made a group or a session of their own, or that a killed emulator has left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

_POLL_SECONDS = 0.05


def processes_of(folder: Path, group: int | None = None) -> list[psutil.Process]:
    """Every living process that jobs below a folder have started.

    Args:
        folder: A job's folder, or one with those of several jobs; absolute, without symbolic links.
        group: A process group whose members belong to the job whatever their home is.

    Returns:
        The processes, without zombies and without this process.
    """
    return [process for process in psutil.process_iter() if _belongs(process, folder, group)]


def end_processes(folder: Path, group: int | None = None, *, grace: float) -> None:
    """End every process that jobs below a folder have started; returns when none of them lives.

    Args:
        folder: As in `processes_of`.
        group: As in `processes_of`.
        grace: Seconds between asking (SIGTERM) and killing (SIGKILL); 0 kills at once.
    """
    deadline = time.monotonic() + grace
    if grace > 0:
        for process in processes_of(folder, group):
            _send(process, signal.SIGTERM)
    while living := processes_of(folder, group):
        if time.monotonic() >= deadline:
            # Again in every round: what was just being started is found only in the next one.
            for process in living:
                _send(process, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _belongs(process: psutil.Process, folder: Path, group: int | None) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if group is not None and os.getpgid(process.pid) == group:
            return True
        home = process.environ().get("HOME", "")
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False
    return Path(home).is_relative_to(folder)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
