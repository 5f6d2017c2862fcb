"""Pipelines of a team, by the `zenml` command: images that ZenML builds, containers, blobs, a server without plugin."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Data

from docker import DockerClient
from tests.contract.waiting import eventually
from tests.docker.team import Team
from tests.docker.test_emulator import client_of, containers

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def ml_client(a_team: Team, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    """The real SDK, which tells what became of a job."""
    return client_of(a_team.emulator, monkeypatch)


@pytest.fixture(autouse=True)
def _leaves_no_container(request: pytest.FixtureRequest, engine: DockerClient) -> Iterator[None]:
    yield
    eventually(lambda: containers(engine) == [])


def assert_ran_in_an_image_with_this_package(facts: dict[str, Any]) -> None:
    assert facts["in_container"]
    assert facts["operator"] == "zenml_azureml.step_operator"
    assert facts["zenml_azureml"][0] == version("zenml-azureml")
    assert facts["modules_of_azure_ai_ml"] == []


def test_an_image_is_built_and_pushed_then_pulled_and_run(a_team: Team, engine: DockerClient) -> None:
    built = re.search(r"Created pipeline build `(\S+)`", a_team.zenml("pipeline", "build", "pipelines.static"))
    assert built
    images = f"{a_team.registry}/zenml"
    for image in engine.images.list(images):
        engine.images.remove(image.id, force=True)

    run = a_team.run("static", "--build", built[1])

    assert run.exit_code == 0, run.output
    assert run.status == "completed"
    assert f"Image(s): {images}@sha256:" in run.output
    assert engine.images.list(images)  # it has come back from the registry
    train = run.steps["train"]
    assert_ran_in_an_image_with_this_package(train["outputs"]["output"])
    assert train["outputs"]["output"]["zenml_azureml"][1] is None  # from an index
    # What the container wrote, the next step and now the client have read.
    assert train["uris"][0].startswith("az://artifacts/")
    assert run.steps["report"]["outputs"] == {"output": 6}
    # In the terminal, and on the server.
    assert "[train] trained on 3 numbers" in run.output
    assert "trained on 3 numbers" in a_team.step_log(train["id"])
    assert f"/runs/{run.job('train')}?" in train["metadata"]["azureml_studio_url"]


@pytest.mark.parametrize(
    ("pipeline", "count"),
    [
        pytest.param("mapped", 6, marks=pytest.mark.weekly),
        pytest.param("mapped_to_20", 20, marks=pytest.mark.weekly),
    ],
)
def test_a_dynamic_pipeline_with_mapped_steps(a_team: Team, ml_client: MLClient, pipeline: str, count: int) -> None:
    run = a_team.run(pipeline)

    assert run.exit_code == 0, run.output
    assert run.status == "completed"
    squares = {name: step for name, step in run.steps.items() if "square" in name}
    assert sorted(step["outputs"]["output"] for step in squares.values()) == [number**2 for number in range(count)]
    assert len({run.job(name) for name in squares}) == count
    assert {ml_client.jobs.get(run.job(name)).status for name in squares} == {"Completed"}
    assert run.steps["total"]["outputs"] == {"output": sum(number**2 for number in range(count))}


@pytest.mark.weekly
def test_a_command_step_with_a_default_container_registry(a_team: Team) -> None:
    for command in (
        f"container-registry register plain --flavor=default --uri={a_team.registry}",
        "stack register with_plain_registry -o default -a blobs -i builder -c plain -s azureml",
    ):
        a_team.zenml(*command.split())

    run = a_team.run("commands", "--stack", "with_plain_registry")

    assert run.exit_code == 0, run.output
    assert run.status == "completed"
    # Where Azure ML starts commands; a step of ZenML's goes back to its image's folder by itself.
    assert a_team.emulator_log(run.job("command")).startswith("said by a command in /mnt/azureml/cr/j/")
    assert "[command] said by a command" in run.output


@pytest.mark.weekly
@pytest.mark.parametrize("pipeline", ["own_image", "dynamic_own_image"])
def test_a_step_with_an_image_of_its_own(a_team: Team, ml_client: MLClient, pipeline: str) -> None:
    run = a_team.run(pipeline)

    assert run.exit_code == 0, run.output
    assert run.status == "completed"
    own, other = (run.steps[step]["outputs"]["output"] for step in ("special", "train"))
    assert (own["own_variable"], own["only_in_its_own_image"]) == ("yes", ["1.0", None])
    assert (other["own_variable"], other["only_in_its_own_image"]) == (None, None)
    assert_ran_in_an_image_with_this_package(own)
    assert len({ml_client.jobs.get(run.job(step)).environment for step in ("special", "train")}) == 2


@pytest.mark.weekly
def test_a_step_that_asks_for_a_gpu_gets_a_vm_size_that_has_one_and_its_output_is_registered(
    a_team: Team, ml_client: MLClient
) -> None:
    run = a_team.run("gpu")

    assert run.exit_code == 0, run.output
    assert run.status == "completed"
    size = ml_client.jobs.get(run.job("on_a_gpu")).resources.instance_type
    gpus = {found.name: found.gpus for found in ml_client.compute.list_sizes()}
    assert gpus[size] == 1
    assert run.steps["on_a_gpu"]["outputs"]["output"]["gpus"] == []  # what this machine has
    assert "'asset': 'weights', 'version': '1'" in run.steps["on_a_gpu"]["metadata"]["azureml_outputs"]
    assert ml_client.data.get("weights", "1").type == "uri_folder"


@pytest.mark.weekly
def test_a_step_that_fails_and_whose_container_is_held_open(
    a_team: Team, ml_client: MLClient, engine: DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "rate.txt").write_text("negative")
    ml_client.data.create_or_update(Data(name="rates", version="1", type="uri_file", path=str(tmp_path / "rate.txt")))

    run = a_team.run("fails_and_is_held")

    assert run.exit_code != 0
    assert run.status == "failed"
    step = run.steps["looked_into"]
    assert step["status"] == "failed"
    assert "ValueError: The learning rate is negative." in step["exception"]
    assert "The learning rate is negative." in run.output
    assert "about to fail" in a_team.step_log(step["id"])
    assert "'asset': 'rates', 'version': '1'" in step["metadata"]["azureml_inputs"]

    job = run.job("looked_into")
    assert f"The job `{job}` is held open until " in run.output
    assert ml_client.jobs.get(job).status == "Running"
    (container,) = containers(engine)
    again = container.exec_run(["python", "-m", "zenml_azureml.in_job.rerun"])
    assert again.exit_code != 0
    assert "ValueError: The learning rate is negative." in again.output.decode()
    released = a_team.project.azureml("jobs", "release", job)
    assert f"The Azure ML job `{job}` has ended: Canceled." in released.stdout, released.stderr


@pytest.mark.weekly
def test_a_step_whose_cost_limit_is_reached_ends_with_its_container(
    a_team: Team, ml_client: MLClient, engine: DockerClient
) -> None:
    state = str(a_team.emulator.state)
    armed = a_team.project.azureml(
        "emulator", "scenario", "timeout", "--jobs", "^zenml_step=endless$", "--state", state
    )
    assert armed.returncode == 0, armed.stderr

    run = a_team.run("at_its_limit")

    assert run.exit_code != 0
    assert (run.status, run.steps["endless"]["status"]) == ("failed", "failed")
    assert "it reached its cost limit (`max_usd=0.29`) after 60.0 minutes, and Azure cancelled it." in run.output
    job = ml_client.jobs.get(run.job("endless"))
    assert (job.status, job.limits.timeout, job.tags["zenml_cost_limit"]) == ("Canceled", 3600, "max_usd=0.29")
    eventually(lambda: containers(engine) == [])


def test_a_run_that_is_stopped_ends_its_container(a_team: Team, ml_client: MLClient, engine: DockerClient) -> None:
    running = subprocess.Popen(
        [a_team.client_environment.folder / "bin" / "zenml", "pipeline", "run", "pipelines.cancelled"],
        cwd=a_team.project.folder,
        env=a_team.project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert running.stdout
        output = []
        for line in running.stdout:
            output.append(line)
            if "[endless] ready" in line:
                break
        assert len(containers(engine)) == 1, "".join(output)
        runs = a_team.server.get("runs", status="running", sort_by="desc:created")["items"]

        a_team.zenml("pipeline", "runs", "stop", runs[0]["id"], "--graceful", "--yes")

        rest, _ = running.communicate(timeout=120)
    finally:
        running.kill()
        running.wait()
    run = a_team.last_run("cancelled", rest)
    assert (run.status, run.steps["endless"]["status"]) == ("stopped", "stopped"), rest
    assert ml_client.jobs.get(run.job("endless")).status == "Canceled"
    eventually(lambda: containers(engine) == [])
