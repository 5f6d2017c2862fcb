"""Two users on one emulator: each job runs its own user's code, though ZenML extracts all of them to `/app`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Project, project_at
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator

APP = Path("/app")

SCRIPT = """
import sys, time
from pathlib import Path

import helper

@step(step_operator="azureml")
def meet(place: str) -> str:
    Path(place, helper.NAME).touch()
    while len(list(Path(place).iterdir())) < 2:
        time.sleep(0.05)
    # Both jobs have their code now; what was not imported yet comes from there too.
    import detail
    return f"{helper.NAME} with {detail.NAME} in {Path.cwd()}"

@step
def report(text: str) -> None:
    print("RESULT", text)

@pipeline(enable_cache=False, settings=NO_BUILD)
def meeting(place: str):
    report(meet(place))

if __name__ == "__main__":
    meeting(sys.argv[1])
"""


@pytest.mark.skipif(APP.exists(), reason="this machine has an /app of its own")
def test_two_projects_with_the_same_file_names_run_at_once_each_with_its_own_code(
    tmp_path: Path, zenml_with_stack: Path, jobs: Emulator
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    clients: dict[str, Process] = {}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        project: Project = project_at(tmp_path / name, zenml_with_stack, jobs)
        for module in ("helper", "detail"):
            (project.folder / f"{module}.py").write_text(f"NAME = '{name}'\n")
        clients[name] = project.start(SCRIPT, str(place))

    for name, client in clients.items():
        output, _ = client.communicate(timeout=240)
        assert client.returncode == 0, output
        assert f"RESULT {name} with {name} in {jobs.context.folder}/jobs/" in output
    assert not APP.exists()
