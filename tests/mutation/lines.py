"""The lines of the mutated modules that a process executes, for one test."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

import coverage

from tests.mutation.targets import PACKAGE, TARGETS

#: Variables with the folder for the files, and with the test.
FOLDER = "MUTATION_COVERAGE"
TEST = "MUTATION_COVERAGE_TEST"


def start(test: str, folder: str) -> coverage.Coverage:
    """Start to note the lines that this process executes.

    Args:
        test: The test that they are executed for; empty if `switch_context` will name it.
        folder: For the file.
    """
    measured = coverage.Coverage(
        data_file=str(Path(folder) / "lines"),
        data_suffix=True,
        include=[str(PACKAGE / target) for target in TARGETS],
        context=test or None,
        config_file=False,
        messages=False,
    )
    # Warnings would stand in the output that tests read.
    measured.set_option("run:disable_warnings", ["no-data-collected", "already-imported", "module-not-imported"])
    measured.start()
    return measured


def note_until_exit() -> None:
    """Note the lines of this process until its end, for the test that the environment names."""
    measured = start(os.environ[TEST], os.environ[FOLDER])

    def save() -> None:
        measured.stop()
        measured.save()

    atexit.register(save)
