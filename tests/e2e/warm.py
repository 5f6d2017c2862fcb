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

from tests.e2e.warm_home import warm_python
from tests.e2e.warm_job import early_variables

#: The warm Python of clients and, with the variables of one, of ZenML servers.
SERVER = "tests.e2e.warm_server"
#: The interpreters that many ZenML servers run in: one that has imported ZenML can be shared, as nothing is installed.
PYTHONS_OF_SERVERS = {Path(sys.executable)}


class ForkedProcess:
    """What tests use of `subprocess.Popen`, for such a process that writes to a file.

    Args:
        arguments: The program, a Python file, and its arguments.
        environment: All of its environment variables.
        folder: Where it runs.
        stdout: File descriptor, which stays the caller's.
        stderr: Likewise.
        server: The module of the warm Python that it is forked from.
        python: The interpreter of that one, in an environment that does not change.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        stdout: int,
        stderr: int,
        server: str = SERVER,
        python: str = sys.executable,
    ) -> None:
        self._reports = fork(arguments, environment, folder, stdout, stderr, server, python)
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
        server: The module of the warm Python that it is forked from.
        python: The interpreter of that one, in an environment that does not change.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        apart: bool = False,
        server: str = SERVER,
        python: str = sys.executable,
    ) -> None:
        out, out_end = os.pipe()
        err, err_end = os.pipe() if apart else (None, out_end)
        super().__init__(arguments, environment, folder, out_end, err_end, server, python)
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


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    server: str = SERVER,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with `capture_output=True`."""
    process = WarmProcess(arguments, environment, folder, apart=True, server=server, python=python)
    stdout, stderr = process.communicate(timeout=240)
    return subprocess.CompletedProcess(list(arguments), process.wait(), stdout, stderr)


def fork(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    stdout: int,
    stderr: int,
    server: str = SERVER,
    python: str = sys.executable,
) -> socket.socket:
    """Start such a process.

    Args:
        arguments: The program, a Python file, and its arguments.
        environment: All of its environment variables.
        folder: Where it runs.
        stdout: File descriptor, which stays the caller's.
        stderr: Likewise.
        server: The module of the warm Python that it is forked from.
        python: The interpreter of that one, in an environment that does not change.

    Returns:
        What tells its process id, and at its end its exit code: see `next_report`.
    """
    reports = socket.socket(socket.AF_UNIX)
    reports.connect(str(_server_for(server, python, environment) / "socket"))
    asked = {"arguments": [*arguments], "environment": {**environment}, "folder": str(folder)}
    body = json.dumps(asked).encode()
    socket.send_fds(reports, [len(body).to_bytes(4, "big")], [stdout, stderr])
    reports.sendall(body)
    return reports


def _server_for(server: str, python: str, environment: Mapping[str, str]) -> Path:
    early = early_variables(environment)
    early |= {name: environment[name] for name in ("PATH", "COLUMNS") if name in environment}
    return _server(server, python, frozenset(early.items()))


@lru_cache
def _server(module: str, python: str, variables: frozenset[tuple[str, str]]) -> Path:
    return warm_python(module, dict(variables), python)


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
