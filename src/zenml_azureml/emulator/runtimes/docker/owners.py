"""Files that containers and the emulator share: each has a user of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from zenml_azureml.emulator.jobs import layout
from zenml_azureml.emulator.runtimes.base import JobLaunch

_READ, _READ_AND_WRITE, _ENTER = 0o444, 0o666, 0o111


def open_to_all(launch: JobLaunch) -> None:
    """Let any user of a container read and write what a job may, whichever user its image has.

    On this machine, other users do not reach these files: they are in the state folder, which only its owner enters.

    Args:
        launch: The job.
    """
    for folder in _working_directories(launch):
        for path in (folder, *_within(folder)):
            _allow(path, _READ_AND_WRITE)
    data = layout.data_folder(launch.folder)
    for path in (data, *_within(data)):
        _allow(path, _READ if _is_in(path, launch.read_only) else _READ_AND_WRITE)
    for path in launch.mounts:  # without what other jobs have written there
        _allow(path, _READ_AND_WRITE)
    if launch.ca_bundle is not None:
        _allow(launch.ca_bundle, _READ)


def writable_folders(launch: JobLaunch) -> list[Path]:
    """Return the existing folders that a job's containers may have written to.

    Args:
        launch: The job.
    """
    found = [*_working_directories(launch), layout.data_folder(launch.folder), *launch.mounts]
    return [path for path in found if path.is_dir()]


def has_others(folders: Iterable[Path], user: int) -> bool:
    """True if something in folders belongs to another user: to that of a container.

    Args:
        folders: The folders.
        user: Number of the user of this process.
    """
    return any(path.lstat().st_uid != user for folder in folders for path in _within(folder) if os.path.lexists(path))


def _working_directories(launch: JobLaunch) -> list[Path]:
    return [layout.working_directory(layout.node_folder(launch.folder, number)) for number in range(launch.node_count)]


def _within(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):  # links are not followed
        yield from (Path(root, name) for name in (*folders, *files))


def _is_in(path: Path, folders: Iterable[Path]) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)


def _allow(path: Path, rights: int) -> None:
    if path.is_symlink() or not path.exists():
        return
    with suppress(PermissionError):  # it is another user's, as an earlier container has left it
        path.chmod(path.stat().st_mode & 0o777 | rights | (_ENTER if path.is_dir() else 0))
