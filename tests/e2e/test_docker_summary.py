"""What `make test-docker` says where it cannot run: without an engine that is no failure, and no success either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.environments import SOURCE


@pytest.mark.long
def test_an_engine_that_does_not_start_is_told_with_its_last_lines(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start an engine, whether it works or not")
    engine = tmp_path / "dockerd"
    engine.write_text("#!/bin/sh\necho 'failed to mount overlay: operation not permitted'\nexit 7\n")
    engine.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:cacheprovider", "-n", "0"]

    done = subprocess.run(
        [*command, "tests/docker/test_runtime.py"],
        cwd=SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "test-docker: SKIPPED the Docker engine did not start: dockerd ended with exit code 7:\n" in done.stdout
    assert "failed to mount overlay: operation not permitted" in done.stdout


ROOT, SOMEBODY = "echo 0", "echo 1000"
NO_NETWORK = "echo 'E: Unable to locate package' >&2; exit 100"


def made_on(folder: Path, **programs: str) -> tuple[int, list[str]]:
    """What `make test-docker` prints on a machine that has these programs of our own, and no others but its shell's."""
    for name in ("sh", "mktemp", "tail", "rm", "dirname"):
        (folder / name).symlink_to(str(shutil.which(name)))
    for name, script in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    environment = {"PATH": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run(
        [SOURCE / "tests" / "docker" / "run"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_an_engine_that_cannot_be_installed_is_told_with_the_last_lines_of_trying(tmp_path: Path) -> None:
    assert made_on(tmp_path, id=ROOT, apt_get=NO_NETWORK) == (
        0,
        ["test-docker: SKIPPED the Docker engine could not be installed:", "E: Unable to locate package"],
    )


def test_who_is_not_root_and_has_no_engine_is_told_that_root_is_needed(tmp_path: Path) -> None:
    assert made_on(tmp_path, id=SOMEBODY) == (
        0,
        ["test-docker: SKIPPED no Docker engine runs, and only root can install and start one"],
    )


def test_where_an_engine_runs_nothing_is_skipped(tmp_path: Path) -> None:
    assert made_on(tmp_path, id=SOMEBODY, docker="exit 0") == (
        1,
        ["make test-docker needs root: it makes a base image with debootstrap.", "test-docker: FAIL"],
    )


def test_parts_that_cannot_be_installed_are_a_failure(tmp_path: Path) -> None:
    assert made_on(tmp_path, id=ROOT, docker="exit 0", dockerd="exit 0", apt_get=NO_NETWORK) == (
        1,
        ["E: Unable to locate package", "test-docker: FAIL"],
    )
