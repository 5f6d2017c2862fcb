"""The state folder of an emulator, which has a marker. Other folders are never changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from zenml_azureml.emulator.local.private_files import in_words

#: Makes a folder an emulator's; its name alone counts.
MARKER = ".zenml-azureml-emulator"

_MARKER_TEXT = "The state folder of a zenml-azureml emulator. It holds secrets, and jobs.\n"
_GITIGNORE = "# Made by zenml-azureml: this folder holds secrets.\n*\n"

#: Contents of state folders of older versions, which had no marker.
_OLDER_FILES = ("ca.key", "ca.pem", "identity.json", "token.key")
_OLDER_NAMES = frozenset({"tenant_id", "client_id", "object_id", "client_secret"})

#: All that an emulator writes at the top of its folder.
_OWN_ENTRIES = re.compile(
    r"ca\.(key|pem)|ca-bundle(-[0-9a-f]{12})?\.pem|identity\.json|token\.key|federated-token|keys\.json|curl\.conf|"
    r"emulator\.(json|log)|state\.db(-wal|-shm|-journal)?|lock|docker-engine|jobs|datastores|mlflow|azure-cli|\.gitignore|"
    r"\.(ca\.(key|pem)|ca-bundle(-[0-9a-f]{12})?\.pem|(identity|emulator|keys)\.json|token\.key|federated-token|"
    r"curl\.conf)\.\d+"
)
#: All that a start of an older version has left that failed at once.
_FAILED_START = frozenset({"lock", "emulator.log"})

#: What an emulator makes for its jobs, and deletes when it starts empty. Each has a marker of its own.
_OF_JOBS = ("jobs", "datastores", "mlflow")


class StateFolderError(Exception):
    """A folder cannot be an emulator's state folder; the message says why, and what to do."""


def claim(folder: Path) -> Path:
    """Make a folder an emulator's state folder, unless it is one already. Only its owner may read it.

    Args:
        folder: A state folder, an empty folder, or one that does not exist.

    Returns:
        The folder: absolute, without symbolic links.

    Raises:
        StateFolderError: If it is any other folder, which stays untouched, or cannot be written.
    """
    folder = _resolved(folder)
    try:
        if folder.exists():
            if not is_state_folder(folder):
                _refuse_others(folder)
            elif not (folder / MARKER).exists():
                _mark_folders_of_jobs(folder)
        else:
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        # First of all: another start at the same moment must find it.
        _mark(folder)
        _write_new(folder / ".gitignore", _GITIGNORE)
        folder.chmod(0o700)
    except OSError as error:
        raise StateFolderError(in_words(error, folder)) from error
    return folder


def is_state_folder(folder: Path) -> bool:
    """True if an emulator of this user has created a folder; does not change it.

    Args:
        folder: Any path.
    """
    try:
        found = folder.stat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        return stat.S_ISREG((folder / MARKER).lstat().st_mode)
    except FileNotFoundError:
        return _is_older(folder)
    except OSError:
        return False


@contextmanager
def refusing_damage(*files: Path) -> Iterator[None]:
    """Refuse files of a state folder that are read within a `with`, and that another program has damaged.

    Args:
        files: The files.

    Raises:
        StateFolderError: Names them. The contents may be secret, and are not shown.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        names = " and ".join(file.name for file in files)
        raise StateFolderError(
            f"The emulator cannot read {names} in {files[0].parent}: damaged. Nothing was changed.\n"
            "Next steps: restore what is damaged from a copy, or name another folder with `--state`."
        ) from error


def check_folders_of_jobs(folder: Path) -> None:
    """Refuse to delete the files of jobs if some of them are not an emulator's.

    Args:
        folder: A state folder that was claimed.

    Raises:
        StateFolderError: If a user has put a folder of that name there since; it stays untouched.
    """
    for path in (folder / name for name in _OF_JOBS):
        if os.path.lexists(path) and not (path.is_dir() and not path.is_symlink() and (path / MARKER).is_file()):
            raise StateFolderError(
                f"{path} was not made by an emulator, which would delete it. Nothing in it was changed.\n"
                f"Next steps: move it out of {folder}, which is the state folder of an emulator."
            )


def clear_jobs(folder: Path) -> None:
    """Delete the files of an emulator's jobs.

    Args:
        folder: A state folder that was claimed.

    Raises:
        StateFolderError: If a user has put a folder of that name there since; nothing is deleted then.
    """
    check_folders_of_jobs(folder)
    for name in _OF_JOBS:
        shutil.rmtree(folder / name, ignore_errors=True)


def folder_of_jobs(folder: Path, name: Literal["jobs", "datastores", "mlflow"]) -> Path:
    """Return a folder for what jobs make, which an empty start deletes; it exists then.

    Args:
        folder: A state folder.
        name: Of the folder in it.
    """
    path = folder / name
    with suppress(FileExistsError):
        path.mkdir(parents=True)
        _mark(path)  # a folder that another program created never gets a mark
    return path


def _mark(folder: Path) -> None:
    _write_new(folder / MARKER, _MARKER_TEXT)


def _write_new(path: Path, text: str) -> None:
    with suppress(FileExistsError), open(path, "x", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _mark_folders_of_jobs(folder: Path) -> None:
    """Mark the folder for jobs of an older version."""
    for name in _OF_JOBS:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            _mark(folder / name)


def _is_older(folder: Path) -> bool:
    """True if an emulator of a version without markers has created a folder, and nothing else is in it."""
    try:
        entries = {entry.name for entry in folder.iterdir()}
        if entries == _FAILED_START:
            return True
        if not entries.issuperset(_OLDER_FILES) or not all(_OWN_ENTRIES.fullmatch(name) for name in entries):
            return False
        names = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(names, dict) and names.keys() >= _OLDER_NAMES


def _refuse_others(folder: Path) -> None:
    """Refuse an existing folder that is not an emulator's, unless it is this user's and empty.

    Raises:
        StateFolderError: If it is refused.
        OSError: If it cannot be read.
    """
    if not folder.is_dir():
        raise _refusal(folder, "is a file")
    if folder.stat().st_uid != os.geteuid():
        raise _refusal(folder, f"belongs to user {folder.stat().st_uid}", elsewhere=True)
    if folder in (Path(folder.anchor), _home()):
        raise _refusal(folder, "is your home or the root of the file system")
    # Another start may have created it and its marker by now.
    if any(folder.iterdir()) and not is_state_folder(folder):
        raise _refusal(folder, "is not empty, and no emulator made it")


def _refusal(folder: Path, why: str, *, elsewhere: bool = False) -> StateFolderError:
    new = folder.with_name(f"{folder.name}-emulator") if elsewhere or not folder.is_dir() else folder / "emulator"
    return StateFolderError(
        f"{folder} cannot be the state folder of an emulator: it {why}. Nothing in it was changed.\n"
        f"Next steps: name a new or empty folder, for example `--state {new}`."
    )


def _resolved(folder: Path) -> Path:
    if not str(folder).strip():
        raise StateFolderError("The state folder has no name. Next steps: name a folder, or leave `--state` out.")
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise StateFolderError(f"The state folder {folder} cannot be used: {error}.") from error


def _home() -> Path | None:
    with suppress(RuntimeError, OSError):
        return Path.home().resolve()
    return None
