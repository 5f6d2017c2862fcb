"""Shared state of the watchers of a step's ranks on one node, so that only one polls the server. Stdlib only.

Each rank has a watcher, since each may be the last one that runs. The one that holds a lock polls; the others read its
result. If they have no folder to share, each polls.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_JOB_NAME: Final = "AZUREML_RUN_ID"

#: Begins the name of a file that notes the process of a step.
_MEMBER: Final = "step."


class Node:
    """The watchers of one job on this node.

    Args:
        step_run_id: Id of the step run.
        environment: Environment variables of the job.
        lock: Name of the file that decides which of them asks, or does something else.
    """

    def __init__(self, step_run_id: str, environment: Mapping[str, str], lock: str = "asks") -> None:
        job = f"{step_run_id} {environment.get(_JOB_NAME, '')} {os.getuid()}"
        self._folder: Path | None = _private(
            Path(tempfile.gettempdir()) / f"zenml-azureml-{hashlib.sha256(job.encode()).hexdigest()[:20]}"
        )
        self._began = time.time()
        self._lock_name = lock
        self._lock: int | None = None

    def asks(self) -> bool:
        """True if this watcher is the one that asks the server, or does what the lock is for."""
        if self._folder is None or self._lock is not None:
            return True
        try:
            descriptor = os.open(self._folder / self._lock_name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor  # until this process ends
        return True

    def reason(self) -> str:
        """Return the reason why the step is over, from another watcher; empty if there is none since this one began."""
        if self._folder is None:
            return ""
        path = self._folder / "over"
        try:
            # One of an earlier attempt of the same job is older.
            return path.read_text() if path.stat().st_mtime >= self._began - 1 else ""
        except OSError:
            return ""

    def share(self, reason: str) -> None:
        """Share the reason why the step is over with the other watchers."""
        if self._folder is not None:
            with suppress(OSError):
                part = self._folder / f"over.{os.getpid()}"
                part.write_text(reason)
                part.replace(self._folder / "over")

    def join(self, pid: int) -> None:
        """Note the process of a step that runs on this node."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / f"{_MEMBER}{pid}").touch()

    def members(self) -> list[int]:
        """Return the processes of the step that have been noted on this node; none without a folder."""
        if self._folder is None:
            return []
        try:
            names = [entry.name for entry in self._folder.iterdir() if entry.name.startswith(_MEMBER)]
        except OSError:
            return []
        return sorted(int(name.removeprefix(_MEMBER)) for name in names if name.removeprefix(_MEMBER).isdecimal())


def _private(folder: Path) -> Path | None:
    """Return the folder, if only this user can write to it; otherwise None."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return folder if found.st_uid == os.getuid() and not found.st_mode & 0o077 and folder.is_dir() else None
