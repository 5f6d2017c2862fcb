"""A cache for the git properties that the SDK adds to each job: without it, each submit starts five git processes.

The SDK has no option for this. Only this module uses the private name; `tests/azure/test_submit.py` fails if the name
changes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from azure.ai.ml.operations import _job_operations

_lock = threading.Lock()


def cache_git_properties() -> None:
    """Make the SDK find the properties once in this process, with the first submit. May be called again."""
    with _lock:
        found_by: Callable[[], dict[str, str]] = _job_operations.get_git_properties  # type: ignore[attr-defined]
        if not isinstance(found_by, _Once):
            _job_operations.get_git_properties = _Once(found_by)  # type: ignore[attr-defined]


def _renew_in_child() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may have held it, and that of the `_Once` too
    _lock = threading.Lock()
    found_by = _job_operations.get_git_properties  # type: ignore[attr-defined]
    if isinstance(found_by, _Once):
        found_by.renew()


os.register_at_fork(after_in_child=_renew_in_child)


class _Once:
    """Calls a function once for any number of threads; each caller gets a copy of the dict."""

    def __init__(self, find: Callable[[], dict[str, str]]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._found: dict[str, str] | None = None

    def renew(self) -> None:
        """Take a new lock, in a forked child."""
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, str]:
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return dict(self._found)
