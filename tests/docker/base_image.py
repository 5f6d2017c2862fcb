"""The image that all others are built on: made on the spot, since no public registry need be in reach."""

from __future__ import annotations

import subprocess
from pathlib import Path

from docker import DockerClient

_SUITE = "bookworm"  # whose Python is 3.11
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"


def make_root(root: Path) -> None:
    """Make a small Debian with Python in a folder."""
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    # As the images have it that people use: `python`, and a pip that installs.
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for marker in (root / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


def import_image(client: DockerClient, root: Path, image: str, *changes: str) -> None:
    """Make an image of a folder.

    Args:
        client: The engine.
        root: The folder.
        image: The image's name.
        changes: Instructions as in a Dockerfile, e.g. `WORKDIR /somewhere`.
    """
    repository, _, tag = image.rpartition(":")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        client.api.import_image_from_data(tar.stdout, repository=repository, tag=tag, changes=list(changes))


def push(client: DockerClient, image: str) -> None:
    """Push an image, and forget it here: whoever runs it has to pull it."""
    for line in client.images.push(image, stream=True, decode=True):
        assert "error" not in line, line
    client.images.remove(image, force=True)
