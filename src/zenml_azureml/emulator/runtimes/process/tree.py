"""The processes that jobs have started: finding them all, and ending them.

Each job has a keeper (`keeper.py`), and on Linux all that the job has started are descendants of it. Where they are
not, they are known by their process group and by their home, which is below the job's folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import psutil

#: The program of which each job has a process.
KEEPER = Path(__file__).with_name("keeper.py")

_POLL_SECONDS = 0.05
#: A keeper ends by itself when it has no child. One that does not, e.g. because it was stopped, is killed after so
#: many looks at nothing but keepers.
_LOOKS_AT_KEEPERS = 20


def processes_of(folder: Path, groups: Collection[int] = ()) -> list[psutil.Process]:
    """Return every living process that jobs below a folder have started, and their keepers.

    Args:
        folder: A job's folder, or one with those of several jobs; absolute, without symbolic links.
        groups: Process groups whose members belong to the job whatever their home is.

    Returns:
        The processes, without zombies and without this process.
    """
    living = [process for process in psutil.process_iter() if _is_alive(process)]
    found = {process.pid: process for process in living if _belongs(process, folder, groups)}
    parents = {process.pid: _parent_of(process) for process in living}
    keepers = {process.pid for process in found.values() if is_keeper(process)}
    for process in living:
        if process.pid not in found and not keepers.isdisjoint(_ancestors(process.pid, parents)):
            found[process.pid] = process
    return list(found.values())


def end_processes(folder: Path, groups: Collection[int] = (), *, grace: float) -> None:
    """End every process that jobs below a folder have started; returns when none of them lives.

    Args:
        folder: As in `processes_of`.
        groups: As in `processes_of`.
        grace: Seconds between asking (SIGTERM) and killing (SIGKILL); 0 kills at once.
    """
    deadline = time.monotonic() + grace
    if grace > 0:
        _send_each(_without_keepers(processes_of(folder, groups)), signal.SIGTERM)
    looks_at_keepers = 0
    out_of_reach: set[int] = set()
    while living := [process for process in processes_of(folder, groups) if process.pid not in out_of_reach]:
        # A keeper that dies before its descendants would let them escape.
        kept = _without_keepers(living)
        looks_at_keepers = 0 if kept else looks_at_keepers + 1
        if time.monotonic() >= deadline:
            # Again in every round: what was just being started is found only in the next one.
            out_of_reach |= _send_each(kept, signal.SIGKILL)
        if looks_at_keepers > _LOOKS_AT_KEEPERS:
            out_of_reach |= _send_each(living, signal.SIGKILL)
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
    with contextlib.suppress(OSError):  # it has ended, or belongs to a user whose processes are not readable
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return True
    return False


def end_children() -> None:
    """Kill all descendants of this process; returns when none of them lives, or only those of another user."""
    out_of_reach: set[int] = set()
    while living := [child for child in psutil.Process().children(recursive=True) if _is_alive(child)]:
        out_of_reach |= _send_each(living, signal.SIGKILL)
        if out_of_reach.issuperset(child.pid for child in living):
            return
        time.sleep(_POLL_SECONDS)


def is_keeper(process: psutil.Process) -> bool:
    """True if a process is the keeper of a job."""
    try:
        return str(KEEPER) in process.cmdline()
    except (psutil.Error, OSError):
        return False


def _without_keepers(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if not is_keeper(process)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _parent_of(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except (psutil.Error, OSError):
        return 0


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    while (pid := parents.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def _belongs(process: psutil.Process, folder: Path, groups: Collection[int]) -> bool:
    try:
        if groups and os.getpgid(process.pid) in groups:
            return True
        home = process.environ().get("HOME", "")
    except (psutil.Error, OSError):  # gone meanwhile, or another user's
        return False
    return Path(home).is_relative_to(folder)


def _send_each(processes: Iterable[psutil.Process], number: signal.Signals) -> set[int]:
    """Send a signal to each process; return the ids of those that another user owns."""
    refused: set[int] = set()
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.AccessDenied:
            refused.add(process.pid)
        except psutil.NoSuchProcess:
            continue
    return refused
