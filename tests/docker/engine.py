"""A Docker engine: the one that runs already, or one of our own that leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from docker.errors import DockerException

import docker
from tests.docker.services import DidNotStartError, serving


@contextmanager
def docker_engine() -> Iterator[str]:
    """An engine for the length of a `with`; the value of DOCKER_HOST that leads to it.

    Raises:
        DidNotStartError: If none runs and none can be started.
    """
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if _answers(address):
        yield address
        return
    if os.geteuid() != 0:
        raise DidNotStartError("No Docker engine runs, and only root can start one.")
    # Not below a test's folder: the path of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="docker-"))
    address = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--host", address, "--pidfile", f"{folder}/pid", "--exec-root", f"{folder}/exec"]
    command += ["--data-root", f"{folder}/data"]
    # Without a network of its own: containers have the loopback alone, or the machine's network where they ask for it.
    command += ["--bridge", "none", "--iptables=false"]
    try:
        with serving(command, folder / "log", lambda: _answers(address)):
            yield address
    finally:
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(address: str) -> bool:
    with suppress(DockerException):
        client = docker.DockerClient(base_url=address)
        try:
            return bool(client.ping())
        finally:
            client.close()
    return False


def _unmount(folder: Path) -> None:
    """Take away what an engine has mounted: its storage and its containers' network namespaces."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in reversed([path for path in mounted if Path(path).is_relative_to(folder)]):
        subprocess.run(["umount", path], check=False)
