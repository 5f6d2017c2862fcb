"""Tests that failed in CI, and are repeated once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Fails when it is run for the first time in a folder.
FAILS_ONCE = """
from pathlib import Path

def test_fails_once():
    mark = Path(__file__).with_name("mark")
    first = not mark.exists()
    mark.touch()
    assert not first
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def repeat(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder, then the failed ones again."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    assert run(folder, "pytest", "-q").returncode == 1
    return run(folder, "scripts.repeat_failed", "names.txt")


def test_a_test_that_passes_when_it_is_repeated_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILS_ONCE)

    repeated = repeat(tmp_path)

    assert repeated.returncode == 0, repeated.stdout
    assert (tmp_path / "names.txt").read_text() == "test_it.py::test_fails_once\n"


def test_a_test_that_fails_twice_fails(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILS_ONCE + "\ndef test_fails():\n    assert False\n")

    assert repeat(tmp_path).returncode == 1
    assert not (tmp_path / "names.txt").exists()


@pytest.mark.parametrize("failures", [0, 6])
def test_none_and_many_failures_are_not_repeated(tmp_path: Path, failures: int) -> None:
    functions = [FAILS_ONCE.replace("fails_once", f"f{n}").replace("mark", f"mark{n}") for n in range(failures)]
    (tmp_path / "test_it.py").write_text("\n".join(functions) or "raise RuntimeError('cannot be imported')")

    repeated = repeat(tmp_path) if failures else run(tmp_path, "scripts.repeat_failed", "names.txt")

    assert repeated.returncode == 1
    assert not (tmp_path / "names.txt").exists()
