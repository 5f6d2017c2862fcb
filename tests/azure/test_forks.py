"""A forked child has no threads of its parent, and takes none of the locks that they held."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import pytest

from zenml_azureml.azure import rate_limiter
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.sdk import git_properties, preload
from zenml_azureml.azure.sdk.current_cloud import CURRENT_CLOUD
from zenml_azureml.azure.sizes import catalogue
from zenml_azureml.clouds import CLOUDS
from zenml_azureml.fork_lock import ForkLock
from zenml_azureml.secrets import known_values


def succeeds_in_child(work: Callable[[], object]) -> bool:
    """Return whether a forked child does something within ten seconds."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


@contextmanager
def held_by_another_thread(*locks: Any) -> Iterator[None]:
    """Have another thread hold locks."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        release.set()
        thread.join()


def test_a_child_can_tell_that_a_lock_is_held() -> None:
    lock = threading.Lock()

    with held_by_another_thread(lock):
        assert not succeeds_in_child(lambda: lock.acquire(timeout=1) or os._exit(1))


@pytest.mark.parametrize(
    ("locks", "work"),
    [
        pytest.param(
            lambda: [found.lock for found in vars(WorkspaceConnection).values() if hasattr(found, "lock")],
            lambda: _acquire(*[found.lock for found in vars(WorkspaceConnection).values() if hasattr(found, "lock")]),
            id="cached properties",
        ),
        pytest.param(lambda: [rate_limiter._lock], lambda: _enter(rate_limiter._lock), id="pacers"),
        pytest.param(lambda: [catalogue._regions_lock], lambda: _enter(catalogue._regions_lock), id="sizes"),
        pytest.param(lambda: [git_properties._lock], git_properties.cache_git_properties, id="git properties"),
        pytest.param(lambda: [preload._lock], preload.begin, id="the import of the SDK"),
        pytest.param(lambda: [known_values._lock], lambda: known_values.remember(["a-secret"]), id="known secrets"),
    ],
)
def test_a_child_has_locks_of_its_own(locks: Callable[[], list[Any]], work: Callable[[], object]) -> None:
    with held_by_another_thread(*locks()):
        assert succeeds_in_child(work)


def test_the_connection_has_cached_properties() -> None:
    assert any(isinstance(found, cached_property) for found in vars(WorkspaceConnection).values())


def test_a_child_has_the_cloud_that_it_needs_while_a_thread_of_its_parent_has_another_one() -> None:
    name, other = list(CLOUDS)[:2]

    def use() -> None:
        with CURRENT_CLOUD.set_to(other):
            assert os.environ["AZUREML_CURRENT_CLOUD"] == other

    with held_by_another_thread(CURRENT_CLOUD.set_to(name)):
        assert succeeds_in_child(use)


def test_a_fork_waits_until_the_sdk_is_imported() -> None:
    """A child that has half of a module, and its lock, never gets the rest."""
    imported = threading.Event()

    def slow_import() -> None:
        imported.wait(0.5)
        imported.set()

    before = preload._thread
    preload._thread = threading.Thread(target=slow_import)
    try:
        preload._thread.start()
        assert succeeds_in_child(lambda: imported.is_set() or os._exit(1))
    finally:
        preload._thread = before


def _acquire(*locks: Any) -> None:
    assert all(lock.acquire(timeout=5) for lock in locks)


def _enter(lock: ForkLock) -> None:
    with lock:
        pass
