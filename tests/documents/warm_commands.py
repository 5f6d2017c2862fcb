"""Commands for a shell that start at once: each is a fork of a process that has imported ZenML (`tests/e2e/warm.py`).

Documents run dozens of `zenml` commands, and each would spend seconds on imports, on the same imports.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import warm

# Hands its own output, folder, environment and arguments over, and exits as what was started there does.
HAND_OVER = """#!{python} -IS
import array, json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect({address!r})
request = json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1, 2]))]
connection.sendmsg([len(request).to_bytes(4, "big")], files)
connection.sendall(request)
sys.exit(int(connection.recv(16) or b"70"))
"""


@contextmanager
def warm_commands(folder: Path) -> Iterator[Path]:
    """Have `python`, `zenml` and `zenml-azureml` commands that start at once.

    Args:
        folder: An empty one, to keep them in.

    Yields:
        The folder for the front of PATH.
    """
    commands = folder / "bin"
    commands.mkdir()
    for name in ("python", "zenml", "zenml-azureml"):
        (commands / name).write_text(HAND_OVER.format(python=sys.executable, address=str(folder / "socket")))
        (commands / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen()
        threading.Thread(target=_serve, args=(listening,), daemon=True).start()
        yield commands
        listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # it was shut down
        threading.Thread(target=_start, args=(connection,), daemon=True).start()


def _start(connection: socket.socket) -> None:
    with connection:
        length, files, _, _ = socket.recv_fds(connection, 4, 2)
        request = b""
        while len(request) < int.from_bytes(length, "big"):
            request += connection.recv(1 << 20)
        name, arguments, folder, environment = json.loads(request)
        if name != "python":
            arguments = [str(Path(sys.executable).with_name(name)), *arguments]
        stdout, stderr = files
        with warm.fork(arguments, environment, Path(folder), stdout, stderr) as reports:
            for file in files:
                os.close(file)
            warm.next_report(reports)  # its process id
            code = int(warm.next_report(reports))
        connection.sendall(str(code % 256).encode())
