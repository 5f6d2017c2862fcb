"""The examples of the documentation run unchanged, as a reader runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import azure_variables
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "emulator-examples.md"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))

#: What each script and its jobs print, at least. `test_examples_in_user_environment` runs the one with MLflow.
PRINTED = {
    "train_and_reuse.py": [r"accuracy (1\.0|0\.9\d*)", r"flowers\.csv \['setosa'"],
    "download_and_plot.py": [r"last loss 0\.135"],
    "list_and_clean_up.py": [r"(?i)completed", r"deleted \w+", r"left: \[\]"],
    "why_it_failed.py": [
        r"Execution failed\. User process 'python' exited with status code 1",
        r"ZeroDivisionError: division by zero",
        r"DataAccessError\(NotFound\)",
        r"(?i)failed\n",
    ],
    "two_step_pipeline.py": [r"\d+ \S+/part-aa\n", r"\d+ total", r"\['count', 'split'\]"],
    "user_identity.py": [r"knows \[.*'workspaceblobstore'"],
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Emulator]:
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "emulator", runtime=ProcessRuntime(), settings=settings) as emulator:
        yield emulator


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != "autolog.py"])
def test_a_script_as_people_write_it_runs_unchanged(bench: Emulator, tmp_path: Path, script: str) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    workspace = bench.context.store.workspaces[0]
    names = {
        "AZUREML_ARM_SUBSCRIPTION": workspace.subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": workspace.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": workspace.name,
    }
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"

    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={**azure_variables(bench), **names, "PATH": path, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    # The SDK streams no log of a job that is over before it looks.
    logs = [log.read_text() for log in (bench.context.folder / "jobs").rglob("std_log.txt")]
    for pattern in PRINTED[script]:
        assert re.search(pattern, "\n".join([done.stdout, *logs])), (pattern, done.stdout, done.stderr, logs)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_short_and_shown_in_the_documentation(script: str) -> None:
    text = (EXAMPLES / script).read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 30
    assert f'```python title="{script}"\n{text}```' in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(path.name for path in (EXAMPLES / "src").glob("*.py")))
def test_the_code_of_their_jobs_is_shown_too(file: str) -> None:
    text = (EXAMPLES / "src" / file).read_text(encoding="utf-8")

    assert f'```python title="src/{file}"\n{text}```' in PAGE.read_text(encoding="utf-8")
