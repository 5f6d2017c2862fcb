"""An older version of this package, from the history of the repository."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

#: The last commit whose jobs have no watcher. Its jobs and images have to work with this version, and vice versa.
COMMIT = "1cf68d96a8b7ff6120d67f840bde66f84d854109"
ROOT = Path(__file__).parents[1]


def extract_older_version(folder: Path) -> None:
    """Extract the files of that commit into a folder; skip the test if this clone does not have it."""
    archive = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(f"the commit {COMMIT[:7]} is not in this clone, for example because it is shallow")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
