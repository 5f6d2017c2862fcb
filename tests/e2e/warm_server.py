"""A Python that has imported ZenML and the SDK, and forks a process for each program that is asked of it.

Importing takes most of the time of a short pipeline. Each fork is a process of its own, with its own session, files,
environment and signals, and it ends as every Python does, but for libraries: the interpreter takes itself apart.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import inspect
import json
import os
import random
import selectors
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve. Returns in the forked processes, and there after the program."""
    listening = listening_socket()
    if "ZENML_SERVER" in os.environ:
        import_with_zenml(_MODULES_OF_SERVER)
    else:
        import_with_zenml(_MODULES, MODULES_OF_STACK)
    asked = serve(listening)
    if asked is not None:
        become(asked)


#: What a pipeline with a step on Azure ML imports, and the commands.
_MODULES = (
    "azure.ai.ml",
    "azure.ai.ml.entities",
    "azure.core.rest._requests_basic",
    "azure.identity",
    "git",
    "zenml.cli",
    "zenml.cli.cli",
    "zenml.execution.pipeline.dynamic.runner",
    "zenml.orchestrators.local.local_orchestrator",
    "zenml.zen_stores.sql_zen_store",
    "zenml_azureml.cli",
    "zenml_azureml.job_admin.run_status",
    "zenml_azureml.step_operator",
    "zenml_azureml.azure.auth.identity",
    "zenml_azureml.azure.client",
)


#: What clients and jobs import when they open ZenML's store and load a stack; older versions lack some of it.
MODULES_OF_STACK = (
    "sqlite3",
    "zenml.container_registries",
    "zenml.deployers",
    "zenml.execution.pipeline.utils",
    "zenml.image_builders",
    "zenml.integrations.azure.flavors",
    "zenml.log_stores.artifact.artifact_log_store",
    "zenml.log_stores.otel.otel_log_store",
    "zenml.pipelines.dynamic.pipeline_definition",
    "zenml.sandboxes",
    "zenml.stack.utils",
    "zenml.steps.decorated_step",
    "zenml.zen_stores.migrations.backup.sqlalchemy",
    "zenml.zen_stores.migrations.utils",
)


#: What ZenML's server imports.
_MODULES_OF_SERVER = ("uvicorn", "zenml.zen_server.zen_server_api")


def import_with_zenml(modules: Iterable[str], if_there: Iterable[str] = ()) -> None:
    """Import ZenML and further modules, and do once what each ZenML process does again.

    Args:
        modules: Their names.
        if_there: Names of those that are imported unless they are missing.
    """
    for module in modules:
        importlib.import_module(module)
    for module in if_there:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    from sqlalchemy.orm import configure_mappers
    from zenml.config.global_config import GlobalConfiguration
    from zenml.environment import Environment
    from zenml.integrations.registry import integration_registry

    integration_registry.activate_integrations()
    packages = Environment.get_python_packages()  # `pip freeze`, twice in each run
    Environment.get_python_packages = staticmethod(lambda: packages)  # type: ignore[method-assign]
    configure_mappers()  # as the first query does
    inspect.stack()  # as the SDK does, with all modules: Python keeps the names of their files
    # Whose configuration is used is for the program to say.
    assert GlobalConfiguration.get_instance() is None


def listening_socket() -> socket.socket:
    """The socket that this process was started with: see `warm_home.py`. To be called before all imports."""
    atexit.register(_keep_libraries)
    return socket.socket(fileno=int(os.environ.pop("WARM_SOCKET")))


def serve(listening: socket.socket, *, as_job: bool = False) -> dict[str, Any] | None:
    """Fork for every connection, until stdin ends; what was asked in the child, None at the end in the parent.

    Args:
        listening: Each connection asks for a process, is told its id and at its end its exit code.
        as_job: Whether a process ends when its connection does, and then takes with it what it has started.
    """
    _shared.update(sys.modules)
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, threading.enumerate()
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
                    request = _request(connection)
                    if request is None:
                        connection.close()
                        continue
                    asked, descriptors = request
                    process = os.fork()
                    if process == 0:
                        signal.set_wakeup_fd(-1)
                        _take_over(descriptors, [listening, woken, wake, connection, *running.values()])
                        return asked
                    for descriptor in descriptors:
                        os.close(descriptor)
                    running[process] = connection
                    if as_job:
                        selector.register(connection, selectors.EVENT_READ, process)
                    _tell(connection, process)
                elif key.fileobj is woken:
                    woken.recv(4096)
                    _report_ends(running, selector, as_job=as_job)
                elif key.data in running:  # who stood for it was killed
                    selector.unregister(key.fileobj)
                    _kill(key.data)
                elif key.fileobj is sys.stdin:
                    if as_job:
                        for process in running:
                            _kill(process)
                    return None


def _request(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """What is asked; None of one who was killed meanwhile."""
    length, descriptors, _flags, _address = socket.recv_fds(connection, 4, 2)
    body = b""
    while len(length) < 4 or len(body) < int.from_bytes(length, "big"):
        more = connection.recv(1 << 16)
        if not more:
            for descriptor in descriptors:
                os.close(descriptor)
            return None
        body += more
    asked: dict[str, Any] = json.loads(body)
    return asked, descriptors


def _report_ends(running: dict[int, socket.socket], selector: selectors.BaseSelector, *, as_job: bool) -> None:
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        with running.pop(process) as connection:
            if as_job:
                _kill(process)
                with contextlib.suppress(KeyError):
                    selector.unregister(connection)
            _tell(connection, os.waitstatus_to_exitcode(status))


#: The modules that forked processes share.
_shared: set[str] = set()


def _keep_libraries() -> None:
    """Have the end of a forked process take apart what its program and this project have loaded, and no library.

    To free what it shares with all others, page by page, takes as long as to load a stack. Runs after other exit
    functions, as the first that was registered.
    """
    for name in _shared:
        if name.partition(".")[0] not in {"__main__", "builtins", "sys", "zenml_azureml"}:
            sys.modules.pop(name, None)


def _tell(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(f"{number}\n".encode())


def _kill(process: int) -> None:
    """Kill it and what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _take_over(descriptors: list[int], sockets: list[socket.socket]) -> None:
    """Be a process of one's own."""
    for each in sockets:
        each.close()
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((nothing, descriptors[0], descriptors[1])):
        os.dup2(source, target)
    for descriptor in (nothing, *descriptors):
        os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()


def become(asked: dict[str, Any]) -> None:
    """Run a program as the main one of this process."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    tempfile.tempdir = None
    sys.argv[:] = asked["arguments"]
    if "MUTATION_COVERAGE" in os.environ:  # see tests/mutation
        importlib.import_module("tests.mutation.lines").note_until_exit()
    path = sys.argv[0]
    sys.path[0] = str(Path(path).parent)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr or "PYTHONUNBUFFERED" in os.environ)  # type: ignore[union-attr]
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    if encoding:
        sys.stdout.reconfigure(encoding=encoding, errors=errors or "strict")  # type: ignore[union-attr]
        sys.stderr.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]
    program = vars(sys.modules["__main__"])
    program.clear()
    program |= {"__name__": "__main__", "__file__": path, "__builtins__": __builtins__}
    exec(compile(Path(path).read_text(), path, "exec"), program)
