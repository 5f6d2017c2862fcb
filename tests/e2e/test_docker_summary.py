"""What `make test-docker` says where no Docker engine can be started: that is no failure, and no success either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.environments import SOURCE


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
