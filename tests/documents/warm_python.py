"""Python programs that start at once: forks of a process that has imported ZenML and the Azure SDK already.

Documents run dozens of `zenml` commands, and each would spend seconds on imports, on the same imports. A command in
`bin/` of the folder asks the process over a socket, which forks; the fork takes over the command's files, folder,
environment and arguments, and runs the same code as the real command would.
"""

from __future__ import annotations

import array
import json
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Sends its own files, folder, environment and arguments to the process, and exits as the fork does.
ASK = """#!{python} -IS
import array, json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect({address!r})
request = json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
connection.sendmsg([len(request).to_bytes(4, "big")], files)
connection.sendall(request)
sys.exit(int(connection.recv(16) or b"70"))
"""


@contextmanager
def warm_python(folder: Path, variables: dict[str, str]) -> Iterator[Path]:
    """Have `python`, `zenml` and `zenml-azureml` commands that start at once.

    Args:
        folder: An empty one, to keep them in.
        variables: The environment to import ZenML in, which reads some of it only then.

    Yields:
        The folder for the front of PATH.
    """
    address = str(folder / "socket")
    commands = folder / "bin"
    commands.mkdir()
    for name in ("python", "zenml", "zenml-azureml"):
        (commands / name).write_text(ASK.format(python=sys.executable, address=address))
        (commands / name).chmod(0o755)
    server = subprocess.Popen([sys.executable, "-m", __name__, address], env=variables, start_new_session=True)
    try:
        while not Path(address).exists():
            assert server.poll() is None, "the process that imports ZenML has ended"
            time.sleep(0.05)
        yield commands
    finally:
        server.terminate()
        server.wait()


def serve(address: str) -> None:
    """Fork for each request; returns in the forks only, where the program is to be run."""
    import zenml.cli
    import zenml.pipelines
    import zenml.zen_stores.sql_zen_store  # noqa: F401

    import zenml_azureml.step_operator  # noqa: F401

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen()
        Path(f"{address}.new").rename(address)  # it appears when it is ready
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                break
            connection.close()
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    program = os.fork()
    if program == 0:
        return run(connection)
    _, status = os.waitpid(program, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
    os._exit(0)


def run(connection: socket.socket) -> None:
    """Become the program that a command stands for, and run it."""
    length, control, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    files = array.array("i")
    files.frombytes(control[0][2])
    request = b""
    while len(request) < int.from_bytes(length, "big"):
        request += connection.recv(1 << 20)
    connection.close()
    command, arguments, folder, environment = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if command == "zenml":
        from zenml.cli.cli import cli

        sys.argv = [command, *arguments]
        sys.exit(cli(prog_name=command))
    if command == "zenml-azureml":
        from zenml_azureml.cli import main

        sys.argv = [command, *arguments]
        sys.exit(main())
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
