"""Processes that need not import ZenML: forked from one that has. Nothing else tells them from others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Union

from tests.e2e.warm_job import early_variables

ROOT = Path(__file__).parents[2]


class ForkedProcess:
    """What tests use of `subprocess.Popen`, for such a process that writes to a file.

    Args:
        arguments: The program, a Python file, and its arguments.
        environment: All of its environment variables.
        folder: Where it runs.
        stdout: File descriptor, which stays the caller's.
        stderr: Likewise.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdout: int, stderr: int
    ) -> None:
        self._reports = fork(arguments, environment, folder, stdout, stderr)
        self.args = list(arguments)
        self.pid = int(next_report(self._reports))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: If it still runs after so many seconds.
        """
        if self.returncode is None:
            self._reports.settimeout(timeout if timeout is None else max(timeout, 0.001))
            try:
                self.returncode = int(next_report(self._reports))
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._reports.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class WarmProcess(ForkedProcess):
    """The same for one whose output is read.

    Args:
        arguments: The program, a Python file, and its arguments.
        environment: All of its environment variables.
        folder: Where it runs.
        apart: Whether stderr is a pipe of its own.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, apart: bool = False
    ) -> None:
        out, out_end = os.pipe()
        err, err_end = os.pipe() if apart else (None, out_end)
        super().__init__(arguments, environment, folder, out_end, err_end)
        for end in {out_end, err_end}:
            os.close(end)
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] | None = None if err is None else os.fdopen(err)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it prints until it ends.

        Raises:
            subprocess.TimeoutExpired: If it still runs after so many seconds.
        """
        said = {"stdout": "", "stderr": ""}

        def read(name: str, stream: IO[str]) -> None:
            with stream:
                said[name] = stream.read()

        streams = {"stdout": self.stdout, "stderr": self.stderr}
        readers = [
            threading.Thread(target=read, args=item, daemon=True) for item in streams.items() if item[1] is not None
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        return said["stdout"], said["stderr"]


Process = Union[WarmProcess, "subprocess.Popen[str]"]


def run(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with `capture_output=True`."""
    process = WarmProcess(arguments, environment, folder, apart=True)
    stdout, stderr = process.communicate(timeout=240)
    return subprocess.CompletedProcess(list(arguments), process.wait(), stdout, stderr)


def fork(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdout: int, stderr: int
) -> socket.socket:
    """Start such a process.

    Args:
        arguments: The program, a Python file, and its arguments.
        environment: All of its environment variables.
        folder: Where it runs.
        stdout: File descriptor, which stays the caller's.
        stderr: Likewise.

    Returns:
        What tells its process id, and at its end its exit code: see `next_report`.
    """
    mine, its = socket.socketpair()
    asked = {"arguments": [*arguments], "environment": {**environment}, "folder": str(folder)}
    with its:
        server = _server_for(environment)
        socket.send_fds(server, [json.dumps(asked).encode()], [stdout, stderr, its.fileno()])
    return mine


def _server_for(environment: Mapping[str, str]) -> socket.socket:
    early = early_variables(environment)
    early |= {name: environment[name] for name in ("PATH", "COLUMNS") if name in environment}
    return _server(frozenset(early.items()))


@lru_cache
def _server(variables: frozenset[tuple[str, str]]) -> socket.socket:
    """The server whose ZenML was imported with these variables; it ends with this process, which ends the socket."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-c", "from tests.e2e.warm_server import main; main()"]
        environment: dict[str, str] = {**dict(variables), "HOME": os.devnull, "PYTHONPATH": str(ROOT)}
        subprocess.Popen(command, stdin=its.fileno(), env=environment, cwd=ROOT, start_new_session=True)
    return mine


def next_report(reports: socket.socket) -> bytes:
    """A report, which is short: byte by byte, so that the next one stays where it is.

    Raises:
        RuntimeError: If there is none, and will be none.
    """
    line = b""
    while not line.endswith(b"\n"):
        byte = reports.recv(1)
        if not byte:
            raise RuntimeError("The server of warm processes has died.")
        line += byte
    return line
