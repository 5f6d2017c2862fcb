"""Jobs of this version in an image that has an older one of this package, which knows no watcher."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.older_version import extract_older_version
from tests.unit.in_job.answering import RUN, STEP_RUN, answering
from zenml_azureml.contract import variables
from zenml_azureml.contract.commands import NO_WATCHER, prepared
from zenml_azureml.specs.job import JobDistribution, JobOptions
from zenml_azureml.submission.stop_variables import stop_variables

#: A step that shows what it is given: its variables, its arguments and its process.
SHOW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:], os.getpid()])); sys.exit(7)"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `python` that has the package as it was at that commit."""
    folder = tmp_path_factory.mktemp("image")
    extract_older_version(folder)
    assert not (folder / "src/zenml_azureml/in_job/watcher.py").exists()
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder / "src"} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


def run(image: Path, step: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as Azure ML runs a job: its command line by bash, with the variables of the job."""
    return subprocess.run(
        ["/bin/bash", "-c", prepared(step, environment)],
        env={"PATH": f"{image / 'bin'}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("more", [{}, {variables.RANKS: "1"}], ids=["one process", "ranks"])
@pytest.mark.parametrize("processes", [1, 2])
def test_the_step_runs_without_a_watcher_and_its_log_says_so(image: Path, processes: int, more: dict[str, str]) -> None:
    with answering() as server:
        server.step_is("stopped")  # an end that a watcher would notice
        store = {"ZENML_STORE_TYPE": "rest", "ZENML_STORE_URL": server.url, "ZENML_STORE_API_TOKEN": "token"}
        distribution = JobDistribution("pytorch", process_count_per_instance=processes) if processes > 1 else None
        options = JobOptions(stop_check_seconds=0.05, distribution=distribution)
        wanted = stop_variables(STEP_RUN, RUN, "fail_fast", store, options)
        assert {variables.STOP_CHECK_SECONDS, variables.STEP_RUN_ID, variables.RUN_ID} <= wanted.keys()
        step = shlex.join([sys.executable, "-c", f"import time; time.sleep(1); {SHOW}", "two  words", "$HOME"])

        done = run(image, step, {**store, **wanted, **more, "HOME": str(image), "MINE": "kept"})

        assert (done.returncode, done.stderr) == (7, f"{NO_WATCHER}\n")
        environment, arguments, _ = json.loads(done.stdout)
        assert arguments == ["two  words", "$HOME"]
        assert {name: environment[name] for name in (*store, "MINE")} == {**store, "MINE": "kept"}
        assert [name for name in environment if name.startswith(variables.PREFIX)] == []
        assert server.asked == []


def test_the_older_package_is_what_runs(image: Path) -> None:
    done = run(image, "no-such-program", {variables.STOP_CHECK_SECONDS: "0.05"})

    assert (done.returncode, done.stderr.splitlines()) == (
        127,
        [NO_WATCHER, "zenml-azureml: There is no program `no-such-program` in the image."],
    )
    code = "import zenml_azureml.in_job.__main__ as main; print(main.__file__)"
    shown = subprocess.check_output([image / "bin" / "python", "-c", code], text=True)
    assert Path(shown.strip()).is_relative_to(image)
