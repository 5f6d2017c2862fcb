"""The lock, the record and the log of an emulator in its state folder.

While an emulator runs it holds a lock on a file in the folder, which the system takes from it however
it ends. So the check if one runs needs no process id, which another process may have by now.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zenml_azureml.emulator.local.instance import DaemonError
from zenml_azureml.emulator.local.private_files import in_words
from zenml_azureml.emulator.local.state_folder import StateFolderError, claim
from zenml_azureml.emulator.runtimes.base import EngineError
from zenml_azureml.emulator.runtimes.cleanup import end_leftovers

#: Names of files in the state folder.
LOCK, RECORD, LOG = "lock", "emulator.json", "emulator.log"


def is_locked(state: Path) -> bool:
    """True if an emulator serves from a state folder, or starts there."""
    try:
        with (state / LOCK).open("rb") as file:
            return not try_lock(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def try_lock(file: IO[Any], kind: int) -> bool:
    """Take a lock on a file; return True if no other process has it.

    Args:
        file: The file.
        kind: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def file_errors_in_words(state: Path) -> Iterator[None]:
    """Explain the errors of files that a block raises.

    Raises:
        DaemonError: Names the file, and the state folder.
    """
    try:
        yield
    except OSError as error:
        raise DaemonError(in_words(error, state)) from error


def claimed(state: Path) -> Path:
    """Return a state folder, which is created if it is missing.

    Raises:
        DaemonError: If the folder is not an emulator's.
    """
    try:
        return claim(state)
    except StateFolderError as error:
        raise DaemonError(str(error)) from error


def end_jobs_left(state: Path) -> None:
    """End the jobs that a killed emulator of a state folder has left.

    Raises:
        DaemonError: If they cannot be ended.
    """
    try:
        end_leftovers(state)
    except EngineError as error:
        raise DaemonError(f"Containers of jobs may be left, and cannot be removed. {error}") from error
