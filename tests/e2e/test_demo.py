"""`zenml-azureml demo`, as a newcomer sees it."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from zenml_azureml.emulator.local import daemon
from zenml_azureml.emulator.local.keys import stored_keys


class Demo:
    """A demo that runs, in a home and with temporary files of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.home = tmp_path / "home"
        self.temporary = tmp_path / "tmp"
        self.elsewhere = tmp_path / "elsewhere"
        for folder in (self.home, self.temporary, self.elsewhere):
            folder.mkdir()
        self.shown = ""

    def start(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zenml_azureml.cli", "demo", *arguments],
            env={**os.environ, "HOME": str(self.home), "TMPDIR": str(self.temporary)},
            cwd=self.elsewhere,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.shown += line
            if text in line:
                return
        pytest.fail(f"`{text}` was never shown:\n{self.shown}")

    def read_all(self) -> int:
        """Read to the end; gives the exit code."""
        self.shown += self.process.communicate(timeout=200)[0]
        return self.process.returncode

    def leftovers(self) -> list[object]:
        """Files, and processes that have anything to do with this demo."""
        files: list[object] = [
            path for folder in (self.home, self.temporary, self.elsewhere) for path in folder.rglob("*")
        ]
        return files + [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and str(self.temporary) in str(process.environ())
        except psutil.Error:
            return False


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path.resolve())
    yield demo
    for process in psutil.process_iter():
        if demo._is_ours(process):
            process.kill()


@pytest.mark.long
def test_it_trains_and_evaluates_and_explains_a_step_that_fails_on_purpose_and_leaves_nothing_behind(
    demo: Demo,
) -> None:
    demo.start("--with-failure")

    assert demo.read_all() == 0, demo.shown
    shown, _, failure = demo.shown.partition("A step that fails")
    assert re.search(r"^  \[train\] 200 trees: out-of-bag accuracy 0\.9\d+$", shown, re.MULTILINE)
    assert re.search(r"^  prepare +completed  here +\d+\.\d$", shown, re.MULTILINE)
    assert re.search(r"^  train +completed  serverless +\d+\.\d$", shown, re.MULTILINE)
    assert re.search(r"^  evaluate +completed  compute cluster +evaluation-cluster +\d+\.\d$", shown, re.MULTILINE)
    assert re.search(r"^  Metrics of evaluate: accuracy 0\.9\d+, f1 0\.9\d+$", shown, re.MULTILINE)
    assert len(re.findall(r"https://127\.0\.0\.1:\d+/runs/zenml-", shown)) == 4  # when submitted, and at the end
    assert re.search(r"^  Failed to run step .*: it was killed \(SIGKILL\), most likely because", failure, re.MULTILINE)
    assert [line for line in failure.splitlines() if line.startswith("  Next steps: ")]
    assert "Traceback" not in demo.shown
    assert demo.leftovers() == []


@pytest.mark.long
def test_ctrl_c_while_a_job_runs_ends_the_job_and_cleans_up(demo: Demo) -> None:
    demo.start()
    demo.read_until("[train] 50 trees")

    demo.process.send_signal(signal.SIGINT)

    assert demo.read_all() != 0
    assert "Interrupted" in demo.shown
    assert "[evaluate]" not in demo.shown
    assert demo.leftovers() == []


@pytest.mark.parametrize("moment", ["An Azure ML workspace on this machine", "$ zenml artifact-store"])
def test_being_terminated_before_the_pipeline_cleans_up_too(demo: Demo, moment: str) -> None:
    demo.start()
    demo.read_until(moment)

    demo.process.send_signal(signal.SIGTERM)

    assert demo.read_all() != 0
    assert demo.leftovers() == []


@pytest.mark.long
def test_a_step_that_fails_makes_it_fail_and_what_is_kept_can_be_looked_at(demo: Demo, tmp_path: Path) -> None:
    state = tmp_path / "kept" / "emulator"
    demo.start("--keep", "--state", str(tmp_path / "kept"))
    try:
        demo.read_until("$ zenml stack register")
        refuse_jobs(state)

        assert demo.read_all() == 1
        assert re.search(r"^  train +failed +not submitted", demo.shown, re.MULTILINE), demo.shown
        status = [sys.executable, "-m", "zenml_azureml.cli", "emulator", "status", "--json", "--state", str(state)]
        assert json.loads(subprocess.run(status, capture_output=True, check=True).stdout)["running"]
    finally:
        daemon.stop(state)


def refuse_jobs(state: Path) -> None:
    """Have the emulator of a state folder refuse every job."""
    emulator = daemon.find(state)
    assert emulator is not None
    refusal = {"error": {"code": "AuthorizationFailed", "message": "No."}}
    request = urllib.request.Request(
        f"{emulator.base_url}/_emulator/faults",
        data=json.dumps({"method": "PUT", "path": "/jobs/", "status": 403, "body": refusal, "times": 9}).encode(),
        headers={"Content-Type": "application/json", **stored_keys(state).admin_headers},
    )
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=emulator.ca_file))
    urllib.request.build_opener(urllib.request.ProxyHandler({}), https).open(request).close()
