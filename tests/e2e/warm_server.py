"""A Python that has imported ZenML and the SDK, and forks a process for each program that is asked of it.

Importing takes most of the time of a short pipeline. Each fork is a process of its own, with its own session, files,
environment and signals, and it ends as every Python does: the interpreter takes itself apart.
"""

from __future__ import annotations

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
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REQUEST_BYTES = 1 << 20


def main() -> None:
    """Serve the socket that is stdin. Returns in the forked processes, and there after the program."""
    control = socket.socket(fileno=0)
    if "ZENML_SERVER" in os.environ:
        import_with_zenml(_MODULES_OF_SERVER)
    else:
        import_with_zenml(_MODULES, MODULES_OF_STACK)
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, threading.enumerate()
    asked = _serve(control)
    if asked is not None:
        _become(asked)


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


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; what was asked in the child, None at the end in the parent."""
    running: dict[int, socket.socket] = {}
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    _report_ends(running)
                    continue
                request, descriptors, _flags, _address = socket.recv_fds(control, REQUEST_BYTES, 3)
                if not request:
                    return None
                process = os.fork()
                if process == 0:
                    signal.set_wakeup_fd(-1)
                    take_over(descriptors, [control, woken, wake, *running.values()])
                    asked: dict[str, Any] = json.loads(request)
                    return asked
                os.close(descriptors[0])
                os.close(descriptors[1])
                running[process] = socket.socket(fileno=descriptors[2])
                running[process].sendall(f"{process}\n".encode())


def _report_ends(running: dict[int, socket.socket]) -> None:
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        with running.pop(process) as report:
            report.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def take_over(descriptors: list[int], sockets: list[socket.socket]) -> None:
    """Be a process of one's own."""
    for each in sockets:
        if each.fileno() == 0:
            each.detach()
        else:
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


def _become(asked: dict[str, Any]) -> None:
    """Run a program as the main one of this process."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv[:] = asked["arguments"]
    if "MUTATION_COVERAGE" in os.environ:  # see tests/mutation
        importlib.import_module("tests.mutation.lines").note_until_exit()
    path = sys.argv[0]
    sys.path[0] = str(Path(path).parent)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr or "PYTHONUNBUFFERED" in os.environ)  # type: ignore[union-attr]
    program = vars(sys.modules["__main__"])
    program.clear()
    program |= {"__name__": "__main__", "__file__": path, "__builtins__": __builtins__}
    exec(compile(Path(path).read_text(), path, "exec"), program)
