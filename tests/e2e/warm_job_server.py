"""A Python that has imported ZenML as a job does, and forks a process for each job's Python that asks for one.

`python -c "from tests.e2e.warm_job_server import main; main()"`, which `warm_home.py` starts; `warm_job.py` asks it.
"""

from __future__ import annotations

import builtins
import importlib
import io
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.warm_home import ROOT
from tests.e2e.warm_server import MODULES_OF_STACK, import_with_zenml, listening_socket, serve
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
    listening = listening_socket()
    python_path = [entry for entry in sys.path if entry not in ("", str(ROOT))]
    # Modules keep `open` under names of their own, e.g. `tarfile`: so it is replaced before, and led on afterwards.
    app_shim.install("/nowhere")
    import_with_zenml(_MODULES, MODULES_OF_STACK)
    asked = serve(listening, as_job=True)
    if asked is not None:
        _become(asked, python_path)


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
