"""The import of the Azure ML SDK, which takes seconds: on a thread of its own, while something else is waited for."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

_lock = threading.Lock()
_begun = False


def begin() -> None:
    """Begin to import what submitting a job needs, unless that was begun already. Whoever needs it waits for it.

    Thread-safe: Python imports a module once, whoever asks for it.
    """
    global _begun  # noqa: PLW0603 - one process imports once
    with _lock:
        if _begun:
            return
        _begun = True
    threading.Thread(target=_import, name="zenml-azureml-sdk-import", daemon=True).start()


def _import() -> None:
    with suppress(Exception):  # raised again where it is needed, by the import there
        import_module("zenml_azureml.workspace.workspace")
