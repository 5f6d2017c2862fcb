"""Files that only their owner may read."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only the owner may read; never seen half-written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_bytes(content)
    partial.replace(path)


def inside(folder: Path | None, name: str) -> Path | None:
    """Return the path of a name in a folder, links followed; None if the name leads elsewhere or is none.

    Args:
        folder: The folder; None for one that is elsewhere itself.
        name: A name or a relative path; need not exist.
    """
    if folder is None:
        return None
    try:
        root = folder.parent.resolve() / folder.name
        path = (root / name).resolve()
        path.exists()  # of a name that is too long, the system says it here
    except (OSError, ValueError, RuntimeError):
        return None
    return path if path != root and path.is_relative_to(root) and ".." not in Path(name).parts else None


def shown(text: str) -> str:
    """Return a text as it can be put into a sentence: quoted, without control characters, not too long."""
    return ascii(text[:100])


def in_words(error: OSError, folder: Path) -> str:
    """Return what the system says of a file, and what to do about it.

    Args:
        error: Error of the system.
        folder: The state folder of an emulator, or a folder in it.
    """
    what = error.strerror or str(error) or type(error).__name__
    place = f" ({error.filename})" if error.filename and Path(os.fsdecode(error.filename)) != folder else ""
    return f"The emulator cannot use its state folder {folder}{place}: {what}. {_way_out(error.errno)}"


def full_disk(folder: Path) -> str:
    """Return that the disk with a folder is full, and what to do about it; empty if it is not.

    Args:
        folder: The state folder of an emulator, or a folder in it.
    """
    try:
        status = os.statvfs(folder)
    except OSError as error:
        return in_words(error, folder)
    if status.f_bavail == 0 or (status.f_files > 0 and status.f_favail == 0):
        return in_words(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder)
    return ""


def _way_out(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT):
        first = "Free space on its disk"
    elif number in (errno.EROFS, errno.EACCES, errno.EPERM):
        first = "Make it writable for your user"
    else:
        first = "Check its disk and its rights"
    return f"{first}, or use another folder: `zenml-azureml emulator start --state FOLDER`."
