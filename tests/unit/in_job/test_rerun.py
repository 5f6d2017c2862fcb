"""The function of a failed step runs again in the place of its held job, without a server and without publishing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zenml_azureml.in_job.rerun import held_calls

TRAINING = """
import os
from zenml import get_step_context, log_metadata, step

@step
def train(numbers: list[int]) -> int:
    log_metadata({"trained": True})
    print("SEEN", os.environ["MINE"], os.getcwd(), numbers)
    THE_MISTAKE
    return sum(numbers)
"""

HELD = """
import os
from datetime import timedelta
from zenml_azureml.in_job.hold import FailureHold
from zenml_azureml.in_job.rerun import FailedCall

call = FailedCall("training.train", os.environ)
call.note((), {"numbers": [1, 2, 3]})
hold = FailureHold(timedelta(hours=1), lambda until: None, call.kept)
with hold.after_report(), hold.noting():
    raise ValueError("a shape does not fit")
"""


def rerun(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zenml_azureml.in_job.rerun", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_function_runs_again_with_its_inputs_its_variables_its_folder_and_the_code_as_it_is_now(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    job, elsewhere, temporary = (tmp_path / name for name in ("job", "elsewhere", "temporary"))
    for folder in (job, elsewhere, temporary):
        folder.mkdir()
    (job / "training.py").write_text(TRAINING.replace("THE_MISTAKE", "raise ValueError('a shape does not fit')"))
    (job / "held.py").write_text(HELD)
    shell = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(temporary)}
    nowhere = {"ZENML_STORE_TYPE": "rest", "ZENML_STORE_URL": "http://127.0.0.1:9", "ZENML_ANALYTICS_OPT_IN": "false"}
    of_job = {**shell, **nowhere, "MINE": "kept", "AZUREML_RUN_ID": "zenml-1"}
    held = subprocess.Popen([sys.executable, "held.py"], env=of_job, cwd=job, stderr=subprocess.PIPE, text=True)
    assert held.stderr is not None
    try:
        log = ""
        for line in held.stderr:
            log += line
            if "is held open until" in line:
                break
        assert "To run the function of the step again, in the container: python -m zenml_azureml.in_job.rerun" in log

        with subtests.test("the same failure"):
            again = rerun(shell, elsewhere)
            assert f"SEEN kept {job} [1, 2, 3]" in again.stdout, again.stderr
            assert again.stderr.rstrip().endswith("ValueError: a shape does not fit")
            assert again.returncode == 1

        with subtests.test("the corrected code"):
            (job / "training.py").write_text(TRAINING.replace("THE_MISTAKE", ""))
            again = rerun(shell, elsewhere, "zenml-1")
            assert "The function has returned: 6. Nothing was published." in again.stderr, again.stderr
            assert again.returncode == 0

        with subtests.test("a call that needs a step context"):
            (job / "training.py").write_text(TRAINING.replace("THE_MISTAKE", "get_step_context()"))
            assert "`get_step_context` is not available here" in rerun(shell, elsewhere).stderr

        with subtests.test("another job"):
            other = rerun(shell, elsewhere, "zenml-2")
            assert (other.returncode, "No job is held here." in other.stderr) == (1, True)
    finally:
        held.terminate()
        held.wait(60)
        held.stderr.close()

    assert list(temporary.iterdir()) == [], "nothing is left of it"
    assert "No job is held here." in rerun(shell, elsewhere).stderr


@pytest.mark.parametrize(("mode", "found"), [(0o700, True), (0o755, False), (0o770, False)])
def test_nothing_is_run_from_a_folder_that_another_user_may_have_made(
    mode: int, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "zenml-azureml-held-x"
    folder.mkdir()
    folder.chmod(mode)
    (folder / "call.json").write_text(json.dumps({"job": "zenml-1", "process": os.getpid()}))

    assert [path for path, _ in held_calls()] == ([folder] if found else [])


def test_what_a_process_that_was_killed_has_left_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "zenml-azureml-held-x"
    folder.mkdir(mode=0o700)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    (folder / "call.json").write_text(json.dumps({"job": "zenml-1", "process": ended.pid}))

    assert list(held_calls()) == []
