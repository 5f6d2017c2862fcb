"""The examples that need MLflow or a Jupyter kernel: as a reader runs them, beside an emulator in another process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from zenml_azureml.emulator.local import daemon

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "emulator-examples.md"
NOTEBOOK = "compare_epochs.ipynb"

#: Has MLflow, azureml-mlflow and a Jupyter kernel: `tests/mlflow/install` makes it for `make test`.
PYTHON = ROOT / ".venv-mlflow" / "user" / "bin" / "python"

#: Runs a notebook by a kernel of this Python, as `jupyter execute` does, and prints what its cells show.
EXECUTE = """
import sys
import nbclient, nbformat
notebook = nbclient.NotebookClient(nbformat.read(sys.argv[1], 4), timeout=240, kernel_name="python3").execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.get("text") or output.get("data", {}).get("text/html", ""))
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables of a shell with the variables of an emulator that runs by the same Python."""
    if not PYTHON.exists():
        pytest.skip("needs .venv-mlflow, which `make test` makes")
    state = (tmp_path / "state").resolve()
    clean = {"PATH": f"{PYTHON.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    command: list[str | Path] = [PYTHON, "-m", "zenml_azureml.cli", "emulator"]
    subprocess.run([*command, "start", "--state", state, "--port", "0"], env=clean, check=True, capture_output=True)
    try:
        lines = subprocess.run([*command, "env", "--state", state], env=clean, check=True, capture_output=True)
        printed = subprocess.run(["bash", "-c", lines.stdout + b"\nenv -0"], env=clean, check=True, capture_output=True)
        yield dict(one.split("=", 1) for one in os.fsdecode(printed.stdout).rstrip("\0").split("\0"))
    finally:
        daemon.stop(state)


def run(command: list[str], folder: Path, shell: dict[str, str]) -> str:
    shutil.copytree(EXAMPLES, folder)
    done = subprocess.run([PYTHON, *command], cwd=folder, env=shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_autolog_logs_in_a_job_is_read_outside_of_it(shell: dict[str, str], tmp_path: Path) -> None:
    printed = run(["autolog.py"], tmp_path / "examples", shell)

    assert re.search(r"FINISHED 3 (1\.0|0\.9\d*)\n\['setosa' 'virginica'\]\nmlflow_model\n", printed), printed


def test_a_notebook_is_executed_by_a_kernel(shell: dict[str, str], tmp_path: Path) -> None:
    printed = run(["-c", EXECUTE, NOTEBOOK], tmp_path / "examples", shell)

    assert re.search(r" 5 0\.656\n.* 20 0\.135\n", printed, re.DOTALL), printed
    assert "<table" in printed  # the job, as Jupyter shows it


def test_the_notebook_is_short_and_shown_in_the_documentation() -> None:
    cells = [
        "".join(cell["source"])
        for cell in json.loads((EXAMPLES / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]

    assert sum(len(cell.splitlines()) for cell in cells) <= 30
    page = PAGE.read_text(encoding="utf-8")
    for cell in cells:
        assert f"```python\n{cell}\n```" in page
