"""The import of the Azure ML SDK, which takes seconds: on a thread of its own, while something else is waited for."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from importlib import import_module

_lock = threading.Lock()
_thread: threading.Thread | None = None

#: Seconds for which a fork waits for the import: a child that has half of a module, and its lock, never gets the rest.
_FORK_WAITS = 30.0


def begin() -> None:
    """Begin to import what submitting a job needs, unless that was begun already. Whoever needs it waits for it.

    Thread-safe: Python imports a module once, whoever asks for it.
    """
    global _thread  # noqa: PLW0603 - one process imports once
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_import, name="zenml-azureml-sdk-import", daemon=True)
            _thread.start()


def _import() -> None:
    with suppress(Exception):  # raised again where it is needed, by the import there
        import_module("zenml_azureml.azure.client")


def _wait_before_fork() -> None:
    if _thread is not None and _thread is not threading.current_thread():
        _thread.join(_FORK_WAITS)


def _renew_in_child() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(before=_wait_before_fork, after_in_child=_renew_in_child)
