"""The pytest plugin of a run: requests pass the wire, and outcomes are kept for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import wire
from tests.live.plan import Needs
from tests.live.target import WORKSPACE

MARKER = "azure_verified"


class Collector:
    """Plugin that only notes what the collected tests create."""

    def __init__(self) -> None:
        self.needs: dict[str, Needs] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            marker = item.get_closest_marker(MARKER)
            if marker is not None:
                self.needs[short(item.nodeid)] = Needs(**marker.kwargs)


class Outcomes:
    """Plugin that notes which tests have passed."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = short(report.nodeid)
        if report.failed:
            self.failed.add(name)
            self.passed.discard(name)
        elif report.when == "call" and report.passed:
            self.passed.add(name)


@pytest.fixture(autouse=True, scope="session")
def _all_requests_pass_the_wire() -> Iterator[None]:
    if WORKSPACE not in os.environ:
        yield
        return
    with wire.installed(wire.from_environment()):
        yield


def short(node: str) -> str:
    """Return a test's name without its folders: `test_jobs.py::test_a_job`."""
    file, _, name = node.partition("::")
    return f"{Path(file).name}::{name}"
