"""Tests with torch, in an environment that has it: `make test-torch`."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.e2e.conftest import jobs, project, zenml_with_stack
from tests.summary_line import write_summary_line

__all__ = ["jobs", "project", "zenml_with_stack"]


@pytest.fixture(autouse=True, scope="session")
def torch() -> None:
    """Skip where there is no torch."""
    if find_spec("torch") is None:
        pytest.skip("needs torch, which `make test-torch` installs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with one line that says how it went."""
    write_summary_line("test-torch", terminalreporter)
