"""`container/compose.yaml`, started with images that this machine makes, and used from it and from a container."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient

from docker import DockerClient
from tests.contract.waiting import eventually
from tests.docker import azurite, made_images
from tests.e2e.environments import SOURCE

pytestmark = pytest.mark.weekly

PROJECT = "zenml-azureml-tests"
COMPOSE = SOURCE / ".venv/compose/compose/docker-compose"

#: Only what the engine of the tests asks for: it has no network of its own that reaches others in a build.
OVERRIDE = {"services": {"emulator": {"build": {"network": "host"}}}}

#: A script of a user's, unchanged on this machine and in a container; prints the states of all jobs of its experiment.
SCRIPT = """
import os, time
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

names = [os.environ[f"AZUREML_ARM_{name}"] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
client = MLClient(DefaultAzureCredential(), *names)
wanted = command(command="echo hello", environment=Environment(image="plain"), experiment_name="composed")
job = client.jobs.create_or_update(wanted)
while client.jobs.get(job.name).status not in ("Completed", "Failed", "Canceled"):
    time.sleep(0.2)
print("STATES", *(str(getattr(job.status, "value", job.status)) for job in client.jobs.list()))
"""


class Composed:
    """The services of the compose file."""

    def __init__(self, folder: Path, base: str) -> None:
        self._override = folder / "override.json"
        self._override.write_text(json.dumps(OVERRIDE))
        self._environment = {
            **os.environ,
            "BASE_IMAGE": base,
            "AZURITE_IMAGE": made_images.AZURITE,
            "ZENML_SERVER_IMAGE": made_images.ZENML_SERVER,
            "DOCKER_BUILDKIT": "0",  # the engine of Debian has the older builder alone
        }

    def run(self, *words: str) -> str:
        files = ("-f", str(SOURCE / "container/compose.yaml"), "-f", str(self._override))
        command = [str(COMPOSE), "--project-name", PROJECT, *files, *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def build(self) -> None:
        self.run("build")

    def up(self) -> None:
        self.run("up", "--detach", "--wait", "--wait-timeout", "300")

    def down(self, *options: str) -> None:
        self.run("down", *options)

    def states(self) -> dict[str, str]:
        """The health of each service."""
        lines = self.run("ps", "--format", "json").splitlines()
        return {found["Service"]: found["Health"] for found in map(json.loads, lines)}

    def variables(self, folder: str) -> dict[str, str]:
        words = ("zenml-azureml", "emulator", "env", "--state", "/state", "--elsewhere", folder)
        lines = self.run("exec", "-T", "emulator", *words).splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)

    def copy_credentials(self, folder: Path) -> None:
        for name in ("ca-bundle.pem", "federated-token"):
            self.run("cp", f"emulator:/state/{name}", str(folder / name))


@pytest.fixture(scope="module")
def composed(engine: DockerClient, debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    base = made_images.make_base(engine, debian, tmp_path_factory.mktemp("base"))
    made_images.make_zenml_server(engine, tmp_path_factory.mktemp("zenml"))
    made_images.make_azurite(engine, tmp_path_factory.mktemp("azurite"))
    composed = Composed(tmp_path_factory.mktemp("compose"), base)
    composed.build()
    try:
        composed.up()
        yield composed
    finally:
        composed.down("--volumes")


def on_this_machine(composed: Composed, folder: Path) -> str:
    """Run the script here, where `emulator` means 127.0.0.1 for it alone."""
    composed.copy_credentials(folder)
    hosts = folder / "hosts"
    hosts.write_text(Path("/etc/hosts").read_text() + "127.0.0.1 emulator\n")
    in_its_own_view = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    done = subprocess.run(
        [*in_its_own_view, sys.executable, "-c", SCRIPT],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **composed.variables(str(folder))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def in_another_container(composed: Composed, engine: DockerClient) -> str:
    said = engine.containers.run(
        made_images.ZENML_SERVER,
        ["-c", SCRIPT],
        entrypoint="python",
        remove=True,
        network=f"{PROJECT}_default",
        environment=composed.variables("/state"),
        volumes={f"{PROJECT}_emulator-state": {"bind": "/state", "mode": "ro"}},
    )
    return str(said.decode().splitlines()[-1])


def blobs() -> BlobServiceClient:
    """Azurite's account, as this machine reaches it."""
    return BlobServiceClient(f"http://127.0.0.1:10000/{azurite.ACCOUNT}", azurite.KEY)


def test_its_services_are_healthy_used_and_keep_what_they_have(
    composed: Composed, engine: DockerClient, tmp_path: Path
) -> None:
    assert composed.states() == {"emulator": "healthy", "azurite": "healthy", "zenml": "healthy"}
    assert on_this_machine(composed, tmp_path) == "STATES Completed"
    assert in_another_container(composed, engine) == "STATES Completed Completed"
    server = requests.get("http://127.0.0.1:8080/api/v1/info", timeout=30).json()["id"]
    with blobs() as account:
        account.create_container("artifacts").upload_blob("kept.txt", b"kept")

    composed.down()
    composed.up()

    eventually(lambda: set(composed.states().values()) == {"healthy"})
    assert on_this_machine(composed, tmp_path) == "STATES Completed Completed Completed"
    assert requests.get("http://127.0.0.1:8080/api/v1/info", timeout=30).json()["id"] == server
    with blobs() as account:
        assert account.get_blob_client("artifacts", "kept.txt").download_blob().readall() == b"kept"
        with pytest.raises(ResourceExistsError):
            account.create_container("artifacts")
