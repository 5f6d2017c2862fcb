"""Which tests execute which lines of the modules that are mutated: measured, also in the processes of pipelines.

A plugin of pytest: `python -m pytest -p tests.mutation.record`. The folder that `MUTATION_COVERAGE` names gets a file
of each process and test.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.e2e import warm
from tests.mutation.lines import FOLDER, TEST, start
from tests.mutation.targets import PACKAGE

_MEASURED = pytest.StashKey[coverage.Coverage]()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Note the lines of this process while tests run: one measurement for all, since to begin one takes its time."""
    if not hasattr(session.config, "workerinput") and session.config.getoption("numprocesses", None):
        return (yield)  # the tests run in other processes
    measured = start("", os.environ[FOLDER])
    session.config.stash[_MEASURED] = measured
    try:
        return (yield)
    finally:
        measured.stop()
        measured.save()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note for which test lines are executed: those of its fixtures too, and of the warm processes that it starts."""
    os.environ[TEST] = item.nodeid
    item.config.stash[_MEASURED].switch_context(item.nodeid)
    return (yield)


def pytest_configure() -> None:
    """Hand the test's name to the warm processes."""
    fork = warm.fork

    def named(arguments: Any, environment: Mapping[str, str], *rest: Any) -> Any:
        names = {name: os.environ[name] for name in (FOLDER, TEST) if name in os.environ}
        return fork(arguments, {**environment, **names}, *rest)

    warm.fork = named  # type: ignore[assignment]


def lines_of_tests(folder: Path) -> dict[str, dict[int, set[str]]]:
    """Return which tests executed each line: by module, as in `TARGETS`, and line.

    Args:
        folder: With the files.
    """
    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in _files(folder):
        data = coverage.CoverageData(str(path))
        data.read()
        for measured in filter(_is_ours, data.measured_files()):
            module = str(Path(measured).relative_to(PACKAGE))
            for line, contexts in data.contexts_by_lineno(measured).items():
                found[module][line] |= {context for context in contexts if context}
    return found


def _is_ours(measured: str) -> bool:
    return Path(measured).is_relative_to(PACKAGE)  # and not one of a checkout that had the same folder before


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name.startswith("lines."))
