"""Preload of the Azure ML SDK, whose import takes seconds, on a thread of its own."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from importlib import import_module

from zenml_azureml.fork_lock import ForkLock

_lock = ForkLock()
_thread: threading.Thread | None = None

#: Longest time, in seconds, for which a fork waits for the import: a child that is forked during the import can never
#: complete it.
_FORK_WAITS = 30.0


def begin() -> None:
    """Start to import the modules that a submit needs, unless this was started before.

    Thread-safe: Python imports a module once, and a thread that needs it waits for the import.
    """
    global _thread  # noqa: PLW0603 - one process imports once
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_import, name="zenml-azureml-sdk-import", daemon=True)
            _thread.start()


def _import() -> None:
    with suppress(Exception):  # the import in the code that needs it raises it again
        import_module("zenml_azureml.azure.client")


def _wait_before_fork() -> None:
    if _thread is not None and _thread is not threading.current_thread():
        _thread.join(_FORK_WAITS)


os.register_at_fork(before=_wait_before_fork)
