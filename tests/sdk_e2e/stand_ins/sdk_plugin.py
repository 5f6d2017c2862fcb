"""Plugin of pytest for the SDK's tests: fixtures of the recording tool, short waits, and what became of each test."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from devtools_testutils.proxy_fixtures import EnvironmentVariables, VariableRecorder  # type: ignore[import-not-found]

#: Longest wait of a test, in seconds; they wait for minutes, and the emulator needs none.
_LONGEST_WAIT = 0.05

_RESULTS = Path(os.environ["SDK_TESTS_RESULTS"])


def _short(sleep: Callable[[float], None]) -> Callable[[float], None]:
    return lambda seconds: sleep(min(seconds, _LONGEST_WAIT))


time.sleep = _short(time.sleep)  # type: ignore[assignment]

#: Messages of the emulator about operations that it does not have, in the test that runs.
_not_served: list[str] = []
_send = requests.Session.send


def _noting(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    response = _send(session, request, **options)
    if response.status_code == 501:
        _not_served.append(response.text)
    return response


requests.Session.send = _noting  # type: ignore[assignment, method-assign]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that the SDK always skips, and note its reason; skips on a condition, e.g. the system, stay."""
    for item in items:
        for mark in item.iter_markers("skip"):
            item.user_properties.append(("skipped", mark.kwargs.get("reason") or "".join(mark.args)))
    for item in items:
        for node in item.listchain():
            node.own_markers[:] = [mark for mark in node.own_markers if mark.name != "skip"]


def pytest_runtest_setup() -> None:
    _not_served.clear()


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """No proxy that records."""


@pytest.fixture
def recorded_test() -> None:
    """No recording."""


@pytest.fixture
def variable_recorder() -> VariableRecorder:
    return VariableRecorder()


@pytest.fixture
def environment_variables() -> EnvironmentVariables:
    return EnvironmentVariables({name: value for name, value in os.environ.items() if name.startswith("ML_")})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write what became of a test: of its call, or of a setup that did not come to it."""
    if report.when == "call" or (report.when == "setup" and not report.passed):
        line: dict[str, str | None] = {"test": report.nodeid, "outcome": report.outcome, "text": report.longreprtext}
        line["not_served"] = "".join(_not_served[:1])
        line["skipped"] = next((str(reason) for name, reason in report.user_properties if name == "skipped"), None)
        if isinstance(report.longrepr, tuple):  # skipped: file, line, reason
            line["text"] = report.longrepr[2]
        with _RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
