"""This package in the images that ZenML builds, wherever it was installed from; or a clear line beforehand."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.docker.team import Team
from tests.e2e.environments import environment_without_plugin

pytestmark = pytest.mark.timeout(900)


@pytest.mark.weekly
def test_an_image_gets_the_very_commit_from_version_control(a_team: Team, tmp_path: Path) -> None:
    commit = a_team.index.commit_source()
    client = environment_without_plugin(tmp_path / "client")
    client.install_from(f"git+{a_team.index.repository}@{commit}")

    run = a_team.with_client(client.python).run("single")

    assert run.exit_code == 0, run.output
    facts = run.steps["train"]["outputs"]["output"]
    assert facts["operator"] == "zenml_azureml.step_operator"
    in_image, origin = facts["zenml_azureml"]
    assert in_image == version("zenml-azureml")
    assert json.loads(origin)["vcs_info"]["commit_id"] == commit


@pytest.mark.weekly
def test_a_development_install_stops_before_anything_runs_and_names_the_override_that_works(a_team: Team) -> None:
    # The environment that these tests run in is one.
    development = a_team.with_client(sys.executable)

    done = development.project.zenml("pipeline", "run", "pipelines.single")

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "The image of step `train` would not contain zenml-azureml" in last
    assert "ZENML_AZUREML_REQUIREMENT" in last
    assert "Building Docker image" not in done.stdout + done.stderr

    requirement = f"zenml-azureml=={version('zenml-azureml')}"
    run = a_team.with_client(sys.executable, ZENML_AZUREML_REQUIREMENT=requirement).run("single")

    assert run.status == "completed", run.output
    assert run.steps["train"]["outputs"]["output"]["operator"] == "zenml_azureml.step_operator"
