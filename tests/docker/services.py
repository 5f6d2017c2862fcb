"""Programs that serve on this machine's loopback for the length of a test run."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.contract.waiting import eventually


class DidNotStartError(Exception):
    """A program has ended instead of serving; the message ends with its last lines."""


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens on a port of the loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(
    command: list[str], log: Path, is_ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a program for the length of a `with`.

    Args:
        command: The program and its arguments.
        log: Where its output goes.
        is_ready: Whether it serves.
        environment: Variables beside this process' own.

    Raises:
        DidNotStartError: If it ends before it serves.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )
    try:
        eventually(lambda: is_ready() or process.poll() is not None, seconds=90)
        if process.poll() is not None:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise DidNotStartError(f"{command[0]} ended with exit code {process.returncode}:\n{last}")
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)
