"""The processes that jobs have started: finding them all, and ending them.

What one shell of a job starts shares its process group, and all of a job have a home below its folder. The home also
finds those that have made a group or a session of their own, or that a killed emulator has left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

import psutil

_POLL_SECONDS = 0.05


def processes_of(folder: Path, groups: Collection[int] = ()) -> list[psutil.Process]:
    """Every living process that jobs below a folder have started.

    Args:
        folder: A job's folder, or one with those of several jobs; absolute, without symbolic links.
        groups: Process groups whose members belong to the job whatever their home is.

    Returns:
        The processes, without zombies and without this process.
    """
    return [process for process in psutil.process_iter() if _belongs(process, folder, groups)]


def end_processes(folder: Path, groups: Collection[int] = (), *, grace: float) -> None:
    """End every process that jobs below a folder have started; returns when none of them lives.

    Args:
        folder: As in `processes_of`.
        groups: As in `processes_of`.
        grace: Seconds between asking (SIGTERM) and killing (SIGKILL); 0 kills at once.
    """
    deadline = time.monotonic() + grace
    if grace > 0:
        for process in processes_of(folder, groups):
            _send(process, signal.SIGTERM)
    while living := processes_of(folder, groups):
        if time.monotonic() >= deadline:
            # Again in every round: what was just being started is found only in the next one.
            for process in living:
                _send(process, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def has_socket(shells: Collection[int], inode: int) -> bool:
    """True if one of these processes, or one that they have started, has a socket.

    Args:
        shells: Process ids.
        inode: The socket, as `/proc/PID/fd` names it.
    """
    for shell in shells:
        try:
            family = [psutil.Process(shell), *psutil.Process(shell).children(recursive=True)]
        except psutil.Error:  # it has ended
            continue
        if any(_has_socket(process.pid, inode) for process in family):
            return True
    return False


def _has_socket(pid: int, inode: int) -> bool:
    with contextlib.suppress(OSError):  # it has ended, or belongs to a user that this one may not look at
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return True
    return False


def _belongs(process: psutil.Process, folder: Path, groups: Collection[int]) -> bool:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if groups and os.getpgid(process.pid) in groups:
            return True
        home = process.environ().get("HOME", "")
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False
    return Path(home).is_relative_to(folder)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
