"""`zenml-azureml emulator start --runtime docker`: the real SDK, real containers, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from azure.ai.ml import MLClient
from azure.ai.ml import command as command_job
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

from docker import DockerClient
from tests.contract.waiting import eventually
from tests.docker.services import free_port
from zenml_azureml.emulator.local import daemon, instance, shell_env
from zenml_azureml.emulator.resources import TERMINAL_STATES


def emulator(verb: str, state: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "zenml_azureml.cli", "emulator", verb, "--state", str(state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def state(tmp_path: Path, engine: DockerClient) -> Iterator[Path]:
    """A state folder, whose emulator leaves no container behind."""
    yield tmp_path
    emulator("stop", tmp_path)
    assert containers(engine) == []


@pytest.fixture
def running(state: Path) -> instance.Running:
    """An emulator with the Docker runtime."""
    return start(state)


def start(state: Path) -> instance.Running:
    emulator("start", state, "--port", "0", "--runtime", "docker", "--docker-network", "host")
    running = daemon.find(state)
    assert running is not None
    return running


@pytest.fixture
def ml_client(running: instance.Running, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    return client_of(running, monkeypatch)


def client_of(running: instance.Running, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    """The real SDK, as `emulator env` points it at an emulator."""
    for name, value in shell_env.variables(running, running.ca_bundle, {}).items():
        monkeypatch.setenv(name, value)
    options = running.options
    return MLClient(
        DefaultAzureCredential(),
        options.subscription_id,
        options.resource_group,
        options.workspace_name,
        polling_interval=0.1,
    )


def submit(client: MLClient, image: str, command: str, **options: Any) -> str:
    job = command_job(command=command, environment=Environment(name="plain", version="1", image=image), **options)
    return str(client.jobs.create_or_update(job).name)


def ends(client: MLClient, job: str) -> str:
    def status() -> str:
        return str(client.jobs.get(job).status.value)

    eventually(lambda: status() in TERMINAL_STATES, seconds=60)
    return status()


def containers(engine: DockerClient) -> list[Any]:
    """Those of any emulator: image builds leave some behind too."""
    of_jobs = {"label": "zenml-azureml.emulator"}
    return engine.containers.list(all=True, ignore_removed=True, filters=of_jobs)  # type: ignore[no-any-return]


def test_a_job_is_a_container_that_reaches_what_listens_here(
    running: instance.Running, ml_client: MLClient, plain_image: str
) -> None:
    port = running.base_url.rpartition(":")[2]
    job = submit(ml_client, plain_image, f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo reached")

    assert ends(ml_client, job) == "Completed"
    assert emulator("logs", running.state, job) == "reached\n"


def test_a_job_has_the_memory_of_its_vm_size_and_its_own_shared_memory(
    running: instance.Running, ml_client: MLClient, plain_image: str, engine: DockerClient
) -> None:
    submit(
        ml_client, plain_image, "sleep 600", instance_type="Standard_DS1_v2", shm_size="1g", docker_args="--ipc=host"
    )

    (container,) = eventually(lambda: containers(engine))
    limits = container.attrs["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] == int(3.5 * 1024**3)
    assert limits["ShmSize"] == 1024**3
    assert limits["IpcMode"] == "host"


def test_an_image_that_cannot_be_pulled_fails_the_job(ml_client: MLClient) -> None:
    job = submit(ml_client, f"127.0.0.1:{free_port()}/none:1", "true")

    assert ends(ml_client, job) == "Failed"


def test_canceling_a_job_kills_its_container(ml_client: MLClient, plain_image: str, engine: DockerClient) -> None:
    job = submit(ml_client, plain_image, "sleep 600")
    eventually(lambda: containers(engine))

    ml_client.jobs.begin_cancel(job).result()

    assert ends(ml_client, job) == "Canceled"
    assert containers(engine) == []


def reaper_of(running: instance.Running) -> psutil.Process:
    """The process that ends the containers of an emulator that was killed."""
    children = psutil.Process(running.pid).children()
    (reaper,) = [child for child in children if "zenml_azureml.emulator.runtimes.docker.reaper" in child.cmdline()]
    return reaper


def test_the_containers_of_a_killed_emulator_end_and_those_of_the_next_one_do_not(
    running: instance.Running, ml_client: MLClient, plain_image: str, engine: DockerClient
) -> None:
    for _ in range(2):
        submit(ml_client, plain_image, "trap '' TERM; sleep 600")
    eventually(lambda: len(containers(engine)) == 2)
    reaper = reaper_of(running)
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: containers(engine) == [])

    start(running.state)
    submit(ml_client, plain_image, "sleep 600")
    eventually(lambda: containers(engine))
    reaper.wait(timeout=60)  # until then it looks again and again: the engine may still have created one

    (container,) = containers(engine)
    assert container.status == "running"


def test_an_emulator_that_is_stopped_needs_no_reaper(
    running: instance.Running, ml_client: MLClient, plain_image: str, engine: DockerClient
) -> None:
    submit(ml_client, plain_image, "sleep 600")
    eventually(lambda: containers(engine))
    reaper = reaper_of(running)

    emulator("stop", running.state)

    assert containers(engine) == []
    assert not reaper.is_running()


def test_containers_that_are_left_all_the_same_are_removed_when_it_starts_again(
    running: instance.Running, ml_client: MLClient, plain_image: str, engine: DockerClient
) -> None:
    submit(ml_client, plain_image, "sleep 600")
    eventually(lambda: containers(engine))
    reaper_of(running).kill()
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: daemon.find(running.state) is None)
    assert len(containers(engine)) == 1

    # Whatever runtime the next one has.
    emulator("start", running.state, "--port", "0", "--runtime", "simulated")

    assert containers(engine) == []


def test_a_missing_engine_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    with pytest.raises(instance.DaemonError, match=r"No Docker engine answers.*DOCKER_HOST"):
        daemon.start(tmp_path, instance.Options(runtime="docker"))
