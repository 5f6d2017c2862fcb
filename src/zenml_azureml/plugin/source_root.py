"""Finds folders in a source root that must not leave this machine: an emulator's state, and virtual environments.

ZenML uploads the source root with the code of a run, or copies it into the images that it builds.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zenml.config.build_configuration import BuildConfiguration

# The emulator is an extra, so this module does not import it. A test compares the names.
_EMULATOR_MARKER = ".zenml-azureml-emulator"
_OLDER_EMULATOR = frozenset({"ca.key", "ca.pem", "identity.json", "token.key"})

_EMULATOR = "the state folder of an emulator, with its keys and its jobs"
_ENVIRONMENT = "a virtual environment"

#: Skipped folders: Git's own, and the one that ZenML itself does not upload.
_SKIPPED = frozenset({".git", ".zen"})
#: Maximum number of folders to search, top-down. A folder of data must not delay a submit for minutes.
_MOST_FOLDERS = 20_000


@dataclass(frozen=True)
class Foreign:
    """A folder that does not contain code of the user.

    Attributes:
        path: Path from the source root; `.` for the root itself.
        kind: Description of its kind, for a message.
    """

    path: str
    kind: str


def warning_of(builds: Iterable[BuildConfiguration], root: Path | None = None) -> str | None:
    """Return a warning that names the folders that would be uploaded; None if there are none.

    Args:
        builds: The images of the steps; their settings define how jobs get the code.
        root: The source root; ZenML's by default.
    """
    builds = list(builds)
    archived = any(build.settings.allow_download_from_artifact_store for build in builds)
    copied = [build for build in builds if build.should_include_files(None)]
    root = root or (_source_root() if archived or copied else None)
    if root is None or not (archived or copied):
        return None
    found = list(foreign_folders(root))
    left = [one for one in found if archived and _git_lists(root, one.path)]
    for build in copied:
        left += [one for one in found if one not in left and _image_has(root, one.path, build)]
    return _warning(root, left, ".gitignore" if archived else ".dockerignore") if left else None


def ways_of_code(builds: Iterable[BuildConfiguration]) -> frozenset[str]:
    """Return how the code of steps gets into their jobs: two sets of images with the same ways get the same warning.

    Args:
        builds: The images of the steps.
    """
    ways = set()
    for build in builds:
        if build.settings.allow_download_from_artifact_store:
            ways.add("archived")
        if build.should_include_files(None):
            ways.add(f"copied without {_dockerignore_of(build)}")
    return frozenset(ways)


def foreign_folders(root: Path, *, most: int = _MOST_FOLDERS) -> Iterator[Foreign]:
    """Yield the state folders of emulators and the virtual environments in a source root, each by its top folder.

    Args:
        root: The source root.
        most: Maximum number of folders to search.
    """
    waiting = [root]
    for folder in waiting:
        try:
            with os.scandir(folder) as entries:
                inside = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
        except OSError:  # ZenML cannot read it either
            continue
        kind = _kind_of(inside)
        if kind:
            yield Foreign(folder.relative_to(root).as_posix(), kind)
        elif len(waiting) < most:
            waiting += [folder / name for name, is_folder in inside.items() if is_folder and name not in _SKIPPED]


def _source_root() -> Path | None:
    """Return ZenML's source root; None if there is none, as in a Python shell."""
    from zenml.utils import source_utils

    try:
        return Path(source_utils.get_source_root())
    except RuntimeError:
        return None


def _kind_of(names: dict[str, bool]) -> str:
    """Return the kind of a folder with entries of these names; empty if it may be code."""
    if _EMULATOR_MARKER in names or names.keys() >= _OLDER_EMULATOR:
        return _EMULATOR
    return _ENVIRONMENT if "pyvenv.cfg" in names or names.get("conda-meta") else ""


def _git_lists(root: Path, folder: str) -> bool:
    """True unless the source root is in a git work tree that ignores all of a folder: ZenML does not upload that."""
    repository = _repository(root)
    if repository is None:
        return True

    def listed() -> bool:
        options = ("--cached", "--others", "--exclude-standard", "--", str(root / folder))
        return bool(repository.git.ls_files(*options))

    return _or_else_true(listed)


def _repository(root: Path) -> Any:
    """Return the git repository that ZenML finds for a source root; None if it finds none."""
    from zenml.utils.code_utils import CodeArchive

    return CodeArchive(root=str(root)).git_repo


def _image_has(root: Path, folder: str, build: BuildConfiguration) -> bool:
    """True unless the image's .dockerignore excludes all of a folder."""
    from zenml.image_builders import BuildContext

    ignored = _dockerignore_of(build)

    def copied() -> bool:
        files = BuildContext(root=str(root), dockerignore_file=ignored).get_files()
        inside = Path(folder)
        return any((root / name).is_file() and Path(name).is_relative_to(inside) for name in files)

    return _or_else_true(copied)


def _dockerignore_of(build: BuildConfiguration) -> str | None:
    config = build.settings.build_config
    return (config.dockerignore if config else None) or build.settings.dockerignore


def _or_else_true(answer: Callable[[], bool]) -> bool:
    """Return an answer; True if there is none, e.g. without git, since a needless warning is better than none."""
    try:
        return answer()
    except Exception:  # noqa: BLE001 - git's and docker's errors are of many kinds, and must not end a submit
        return True


def _warning(root: Path, found: list[Foreign], ignore_file: str) -> str:
    named = " and ".join(f"`{one.path}` ({one.kind})" for one in found)
    lines = " ".join(shlex.quote(f"/{one.path}/") for one in found if one.path != ".")
    begin = "git init && " if ignore_file == ".gitignore" and _repository(root) is None else ""
    steps = f"cd {shlex.quote(str(root))} && {begin}printf '%s\\n' {lines} >> {ignore_file}"
    files = "git ignores" if ignore_file == ".gitignore" else "Docker ignores"
    what = (
        f"move these files out of the source root, or exclude them. ZenML excludes files that {files}:\n  {steps}"
        if lines
        else "keep your code in another folder."
    )
    return f"ZenML uploads the source root {root} with the code of this run, including {named}.\nNext steps: {what}"
