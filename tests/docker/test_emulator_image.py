"""The emulator's own image: built from `container/Dockerfile`, used from this machine and from another container."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
import yaml
from azure.ai.ml import MLClient, Output
from azure.identity import DefaultAzureCredential
from docker.models.containers import Container

from docker import DockerClient
from tests.contract.test_advertised import HOST, free_ports
from tests.contract.waiting import eventually
from tests.docker.made_images import make_base
from tests.docker.test_emulator import ends, submit
from tests.e2e.environments import SOURCE

STATE = PurePosixPath("/state")

#: A job from another container, whose variables are those that the emulator prints for one.
SUBMIT = """
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential
import os, time
names = [os.environ[f"AZUREML_ARM_{name}"] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
client = MLClient(DefaultAzureCredential(), *names)
job = client.jobs.create_or_update(command(command="echo hello", environment=Environment(image="plain")))
while client.jobs.get(job.name).status not in ("Completed", "Failed", "Canceled"):
    time.sleep(0.2)
print(client.jobs.get(job.name).status.value)
"""


@pytest.fixture(scope="module")
def image(engine: DockerClient, debian: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, on a Debian with Python that installs packages from where this machine does."""
    base, name = make_base(engine, debian, tmp_path_factory.mktemp("base")), "zenml-azureml-tests/emulator:1"
    engine.images.build(
        path=str(SOURCE), dockerfile="container/Dockerfile", tag=name, buildargs={"BASE": base}, network_mode="host"
    )
    return name


@pytest.fixture(scope="module")
def running(image: str, engine: DockerClient) -> Iterator[Container]:
    """A container of it that is healthy, at an address that nothing but its answers names."""
    port = free_ports()
    command = ["--port", str(port), "--advertise", f"https://{HOST}:{port}"]
    volume = engine.volumes.create()
    container = engine.containers.run(
        image, command, detach=True, init=True, network_mode="host", volumes={volume.name: {"bind": str(STATE)}}
    )
    try:
        eventually(lambda: engine.api.inspect_container(container.id)["State"]["Health"]["Status"] == "healthy")
        yield container
    finally:
        container.remove(force=True)
        volume.remove()


def variables(running: Container, folder: PurePosixPath) -> dict[str, str]:
    """What `emulator env --elsewhere` prints in the container."""
    command = ["zenml-azureml", "emulator", "env", "--state", str(STATE), "--elsewhere", str(folder)]
    code, output = running.exec_run(command)
    assert code == 0, output
    lines = output.decode().splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)


def test_it_does_not_run_as_root_and_has_no_more_than_it_needs(image: str, engine: DockerClient) -> None:
    listed = engine.containers.run(image, ["list"], entrypoint="/opt/emulator/bin/pip", remove=True).decode()

    assert engine.images.get(image).attrs["Config"]["User"] == "emulator"
    assert "aiohttp" in listed
    assert "zenml " not in listed
    assert "azure-ai-ml" not in listed


def test_code_on_this_machine_uses_it(running: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ca-bundle.pem", "federated-token"):
        chunks, _ = running.get_archive(str(STATE / name))
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            archive.extractall(tmp_path, filter="data")
    for name, value in variables(running, PurePosixPath(tmp_path)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")  # MLClient sets it for good
    names = (os.environ[f"AZUREML_ARM_{name}"] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME"))
    client = MLClient(DefaultAzureCredential(), *names)

    said = "echo from the container > ${{outputs.result}}/said.txt"
    job = submit(client, "plain", said, outputs={"result": Output(type="uri_folder")})

    assert ends(client, job) == "Completed"
    client.jobs.download(job, download_path=tmp_path, output_name="result")
    assert (tmp_path / "named-outputs/result/said.txt").read_text() == "from the container\n"


def test_code_in_another_container_uses_it(running: Container, engine: DockerClient, zenml_image: str) -> None:
    volume = running.attrs["Mounts"][0]["Name"]

    said = engine.containers.run(
        zenml_image,
        ["python", "-c", SUBMIT],
        entrypoint="",
        remove=True,
        network_mode="host",
        environment=variables(running, STATE),
        volumes={volume: {"bind": str(STATE), "mode": "ro"}},
    )

    assert said.decode().splitlines()[-1] == "Completed"


def test_it_stops_when_it_is_asked_to(image: str, engine: DockerClient) -> None:
    container = engine.containers.run(image, ["--port", "0", "--advertise", "https://emulator"], detach=True, init=True)
    try:
        eventually(lambda: engine.api.inspect_container(container.id)["State"]["Health"]["Status"] == "healthy")
        container.stop(timeout=60)

        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True, v=True)


def test_the_compose_file_builds_this_image_and_keeps_its_state() -> None:
    services = yaml.safe_load((SOURCE / "container/compose.yaml").read_text())["services"]

    emulator = services["emulator"]
    assert (SOURCE / "container" / emulator["build"]["context"] / emulator["build"]["dockerfile"]).is_file()
    assert emulator["volumes"] == [f"emulator-state:{STATE}"]
