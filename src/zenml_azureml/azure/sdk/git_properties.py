"""A cache for the git properties that the SDK adds to each job: without it, each submit starts five git processes.

The SDK has no option for this. Only this module uses the private name; `tests/azure/test_submit.py` fails if the name
changes.
"""

from __future__ import annotations

from collections.abc import Callable

from azure.ai.ml.operations import _job_operations

from zenml_azureml.azure.single_flight import Once
from zenml_azureml.fork_lock import ForkLock


def cache_git_properties() -> None:
    """Make the SDK find the properties once in this process, with the first submit. May be called again."""
    with _lock:
        found_by: Callable[[], dict[str, str]] = _job_operations.get_git_properties  # type: ignore[attr-defined]
        if not isinstance(found_by, _CachedProperties):
            _job_operations.get_git_properties = _CachedProperties(found_by)  # type: ignore[attr-defined]


def _renew_in_child() -> None:
    found_by = _job_operations.get_git_properties  # type: ignore[attr-defined]
    if isinstance(found_by, _CachedProperties):
        found_by.found.renew()


_lock = ForkLock(_renew_in_child)


class _CachedProperties:
    """Calls a function once for any number of threads; each caller gets a copy of the dict."""

    def __init__(self, find: Callable[[], dict[str, str]]) -> None:
        self._find = find
        self.found = Once[dict[str, str]]()

    def __call__(self) -> dict[str, str]:
        return dict(self.found.get(self._find))
