"""A Python that has imported ZenML as a job does, and forks a process for each job's Python that asks for one.

`python -c "from tests.e2e.warm_job_server import main; main()"`; its standard input is a pipe whose end is its end, and
the descriptor in WARM_JOB_SOCKET is where `warm_job.py` connects.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.e2e.warm import ROOT
from tests.e2e.warm_server import MODULES_OF_STACK, import_with_zenml, take_over
from zenml_azureml.emulator.runtimes.process import app_shim

#: What a step's entrypoint imports, and the materializers that the integrations bring.
_MODULES = (
    "zenml.artifact_stores.local_artifact_store",
    "zenml.entrypoints.step_entrypoint_configuration",
    "zenml.step_operators.step_operator_entrypoint_configuration",
    "zenml.orchestrators.step_runner",
    "zenml.zen_stores.rest_zen_store",
    "zenml.zen_stores.sql_zen_store",
    "zenml_azureml.in_job.ranked_step",
    "zenml_azureml.step_operator",
)


def main() -> None:
    """Serve. Returns in the forked processes, and there after the program."""
    listening = socket.socket(fileno=int(os.environ.pop("WARM_JOB_SOCKET")))
    python_path = [entry for entry in sys.path if entry not in ("", str(ROOT))]
    # Modules keep `open` under names of their own, e.g. `tarfile`: so it is replaced before, and led on afterwards.
    app_shim.install("/nowhere")
    import_with_zenml(_MODULES, MODULES_OF_STACK)
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, threading.enumerate()
    asked = _serve(listening)
    if asked is not None:
        _become(asked, python_path)


def _serve(listening: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; what was asked in the child, None at the end in the parent."""
    running: dict[int, socket.socket] = {}
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    with selectors.DefaultSelector() as selector:
        for each in (sys.stdin, woken, listening):
            selector.register(each, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listening:
                    connection, _address = listening.accept()
                    asked, descriptors = _request(connection)
                    process = os.fork()
                    if process == 0:
                        signal.set_wakeup_fd(-1)
                        take_over(descriptors, [listening, woken, wake, connection, *running.values()])
                        return asked
                    for descriptor in descriptors:
                        os.close(descriptor)
                    running[process] = connection
                    selector.register(connection, selectors.EVENT_READ, process)
                    connection.sendall(f"{process}\n".encode())
                elif key.fileobj is woken:
                    woken.recv(4096)
                    _report_ends(running, selector)
                elif key.data in running:  # who stood for it was killed
                    selector.unregister(key.fileobj)
                    _kill(key.data)
                elif key.fileobj is sys.stdin:
                    for process in running:
                        _kill(process)
                    return None


def _request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    length, descriptors, _flags, _address = socket.recv_fds(connection, 4, 2)
    body = b""
    while len(body) < int.from_bytes(length, "big"):
        body += connection.recv(1 << 16)
    asked: dict[str, Any] = json.loads(body)
    return asked, descriptors


def _report_ends(running: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        _kill(process)  # what it has left, as the end of a job does
        with running.pop(process) as connection, contextlib.suppress(KeyError, BrokenPipeError):
            selector.unregister(connection)
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _kill(process: int) -> None:
    """Kill it and what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _become(asked: dict[str, Any], python_path: list[str]) -> None:
    """Run a module as the main one of this process."""
    environment, (_option, module, *arguments) = asked["environment"], asked["arguments"]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(asked["folder"])
    if "MUTATION_COVERAGE" in environment:  # see tests/mutation
        importlib.import_module("tests.mutation.lines").note_until_exit()
    tempfile.tempdir = None
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
    sys.path[:] = [asked["folder"], *environment["PYTHONPATH"].split(":"), *python_path]
    importlib.invalidate_caches()
    app = str(Path(environment["HOME"]).parent / "app")
    for namespace in (os, io, builtins):
        for function in vars(namespace).values():
            if isinstance(function, app_shim._Mapped):
                function._app = app
    app_shim.install(app)  # once more, for the programs that it starts
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
