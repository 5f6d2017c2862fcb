"""A ZenML of a worker's own: its configuration, stack and database; and the warm process that all others fork from."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.chaos.emulated import Address
from tests.chaos.schedule import Kind, PlannedStep, Schedule, Shape
from tests.chaos.shared_clock import SharedClock
from tests.chaos.trial import RunRecord, StepRecord
from zenml_azureml.contract.usage import USAGE_KEY

SOURCE_ROOT = Path(__file__).parents[2]

#: Environment variables that would lead ZenML or Azure's clients elsewhere.
_FOREIGN = ("ZENML", "AZURE", "OTEL", "MSI_", "IDENTITY_", "ARM_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Home:
    """Everything of ZenML's in one folder: set up in one process, used by it and those forked from it.

    Args:
        folder: To make it in.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._template = folder / "template.db"
        self._database = self._template

    def warm_up(self, emulator: Address) -> None:
        """Set ZenML up, and import and make everything that every run would otherwise import and make again.

        Args:
            emulator: Where runs are tried out.
        """
        self._set_environment(emulator)
        gc.disable()  # what is imported and made here stays
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        @event.listens_for(Engine, "do_connect")
        def _use_own(_dialect: object, _record: object, arguments: list[Any], _options: object) -> None:
            arguments[0] = str(self._database)

        @event.listens_for(Engine, "connect")
        def _hurry(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA synchronous=OFF")  # processes are killed here, machines are not
            # A signal that comes in the middle of a query of ZenML's leaves SQLite's lock for readers behind: it must
            # not keep the writers waiting. Where time runs that fast, many signals do.
            connection.execute("PRAGMA journal_mode=WAL")

        from zenml.utils import source_utils

        # From which ZenML imports the pipelines again: by the same names, so that they are the same modules.
        source_utils.set_custom_source_root(str(SOURCE_ROOT))
        with _output_to(self.folder / "warm-up.txt"):
            register(self.folder / "artifacts")
            _remember_answers()
            self._run_once()
        _wait_for_threads()
        self._forget_connections()
        gc.collect()
        gc.freeze()
        gc.enable()

    def begin(self, folder: Path) -> None:
        """Begin with a new database: as it was before the first run.

        Args:
            folder: Where to put it.
        """
        self._database = folder / "zenml.db"
        for leftover in folder.glob("zenml.db*"):  # a killed process leaves SQLite's journals too
            leftover.unlink()
        shutil.copyfile(self._template, self._database)

    def enter(self) -> None:
        """Have this process, which was forked for that, use it; it does."""

    def let_happen(self, _event: str, _clock: SharedClock) -> bool:
        """Let something happen to a server; there is none."""
        return False

    def go_on(self, _clock: SharedClock) -> bool:
        """Whether ZenML can be asked."""
        return True

    def come_back(self) -> None:
        """Nothing is away."""

    def close(self) -> None:
        """Nothing has to be ended."""

    def run_id(self, run_name: str) -> str:
        """The id of a run that was made."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            row = connection.execute("SELECT id FROM pipeline_run WHERE name = ?", (run_name,)).fetchone()
        return _uuid(row[0])

    def record(self, run_name: str) -> RunRecord | None:
        """What became of a run; None where it was never made."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            row = connection.execute("SELECT id, status FROM pipeline_run WHERE name = ?", (run_name,)).fetchone()
            if row is None:
                return None
            steps = connection.execute(
                "SELECT id, name, status, exception_info, version, EXISTS(SELECT 1 FROM run_metadata m JOIN "
                "run_metadata_resource r ON r.run_metadata_id = m.id WHERE r.resource_id = step_run.id AND m.key = ?) "
                "FROM step_run WHERE pipeline_run_id = ? ORDER BY created",
                (USAGE_KEY, row[0]),
            ).fetchall()
        return RunRecord(
            str(row[1]),
            tuple(
                StepRecord(_uuid(id_), name, status, str(cause or ""), version, bool(has_usage))
                for id_, name, status, cause, version, has_usage in steps
            ),
        )

    def holds(self, secret: str) -> bool:
        """Whether what steps and runs have come to has a secret in it."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            causes = connection.execute("SELECT exception_info FROM step_run").fetchall()
            metadata = connection.execute("SELECT value FROM run_metadata").fetchall()
        return secret in str([*causes, *metadata])

    def _set_environment(self, emulator: Address) -> None:
        for name in list(os.environ):
            if name.upper().startswith(_FOREIGN):
                del os.environ[name]
        os.environ.update(
            {
                "HOME": str(self.folder),
                "ZENML_CONFIG_PATH": str(self.folder / "zenml"),
                "ZENML_ANALYTICS_OPT_IN": "false",
                "ZENML_ENABLE_RICH_TRACEBACK": "false",
                "ZENML_LOGGING_COLORS_DISABLED": "true",
                "ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL": "0.05",
                "ZENML_DYNAMIC_PIPELINE_MONITORING_DELAY": "0.001",
                **emulator.variables(),
            }
        )

    def _run_once(self) -> None:
        from zenml.stack import stack

        from tests.chaos import pipelines

        # Steps that fail too: SQLAlchemy keeps the statements that it has compiled.
        shapes: tuple[tuple[Shape, int, Kind], ...] = (
            ("static", 0, "command"),
            ("dynamic", 0, "command"),
            ("retries", 1, "command"),
            ("concurrent", 1, "command"),
            ("static", 1, "function"),  # whose job reports nothing: it fails
        )
        for number, (shape, exit_code, kind) in enumerate(shapes):
            steps = (PlannedStep("step0", 0, 1, exit_code, kind),)
            with contextlib.suppress(Exception):  # what a run raises whose step fails depends on its shape
                pipelines.run(Schedule(f"warm-up/{number}", "simulated", number, shape, steps))
            # No operator is handed on: each process makes its own.
            stack._STACK_CACHE.clear()

    def _forget_connections(self) -> None:
        from zenml.client import Client

        Client().zen_store.engine.dispose()  # type: ignore[attr-defined]


def register(artifacts: Path) -> None:
    """Register the stack that the suite runs on, and have it active."""
    from zenml.client import Client
    from zenml.enums import StackComponentType as Type

    from zenml_azureml.emulator.state import WorkspaceName

    client, place = Client(), WorkspaceName()
    address = {
        "subscription_id": place.subscription_id,
        "resource_group": place.resource_group,
        "workspace_name": place.name,
    }
    client.create_stack_component("files", "local", Type.ARTIFACT_STORE, {"path": str(artifacts)})
    client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
    client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, {"uri": "example.azurecr.io"})
    client.create_stack_component("azureml", "azureml", Type.STEP_OPERATOR, address)
    names: dict[Any, Any] = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "files"}
    names |= {Type.IMAGE_BUILDER: "builder", Type.CONTAINER_REGISTRY: "registry", Type.STEP_OPERATOR: "azureml"}
    client.create_stack("stack", names)
    client.activate_stack("stack")


def _remember_answers() -> None:
    """Have ZenML find out only once what takes it long, is the same in every run, and has nothing to do with jobs."""
    from zenml.client import Client
    from zenml.environment import Environment
    from zenml.integrations.registry import integration_registry

    from zenml_azureml.plugin import source_root

    packages = Environment.get_python_packages()  # `pip freeze`, twice in each run
    Environment.get_python_packages = staticmethod(lambda: packages)  # type: ignore[method-assign]
    # Materializers of other libraries: command steps have no outputs.
    integration_registry.activate_integrations = lambda: None  # type: ignore[method-assign]
    # The components of the stack, as the database has them. Each process makes its own operator of them.
    Client.list_stack_components = cache(Client.list_stack_components)  # type: ignore[method-assign,assignment]
    # What an image would take along from the source root: none is built here, and each run walks thrice through all of
    # the root for it, virtual environments too. That is most of what a run costs.
    source_root.foreign_folders = lambda *_arguments, **_options: iter(())
    inspect.getsource = cache(inspect.getsource)  # type: ignore[assignment]  # thrice for each step


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Have everything that is printed go to a file, also by handlers that hold a stream."""
    mine = [os.dup(1), os.dup(2)]
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for number in (1, 2):
            os.dup2(file, number)
        yield
        sys.stdout.flush()
    finally:
        os.close(file)
        for number, original in enumerate(mine, 1):
            os.dup2(original, number)
            os.close(original)


def _wait_for_threads() -> None:
    """A process that forks must have no threads."""
    gc.collect()  # an operator's pool of threads ends with it
    deadline = time.monotonic() + 30
    while len(threading.enumerate()) > 1:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Threads that do not end: {threading.enumerate()}")
        time.sleep(0.01)


def _uuid(text: str) -> str:
    """SQLite has ids without hyphens."""
    return str(UUID(text))
