"""Programs that serve on this machine's loopback for the length of a test run."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.contract.waiting import eventually

#: Seconds that a program has to begin to serve.
_PATIENCE = 120


class DidNotStartError(Exception):
    """A program has ended instead of serving, or does not begin to; the message ends with its last lines."""


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
        DidNotStartError: If it does not serve.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )
    try:
        with suppress(AssertionError):
            eventually(lambda: is_ready() or process.poll() is not None, seconds=_PATIENCE)
        if process.poll() is not None or not is_ready():
            became = "does not serve" if process.poll() is None else f"ended with exit code {process.returncode}"
            last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise DidNotStartError(f"{command[0]} {became}:\n{last}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
