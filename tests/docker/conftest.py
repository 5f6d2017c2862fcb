"""Real parts for real pipelines: a Docker engine, a registry, images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import docker
from docker import DockerClient
from tests.docker import base_image, parent_image
from tests.docker.engine import docker_engine
from tests.docker.package_index import BUILD_BACKEND, PackageIndex, package_index
from tests.docker.registry import container_registry
from tests.docker.run_in_containers import RunInContainers
from tests.docker.services import DidNotStartError
from tests.docker.team import Team, team
from tests.docker.test_emulator import client_of
from tests.e2e.environments import build_wheel
from tests.summary_line import write_summary_line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with one line that says how it went."""
    write_summary_line("test-docker", terminalreporter)  # the fixture `engine` alone skips


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A client of a Docker engine. Only where none can be started, tests are skipped."""
    with pytest.MonkeyPatch.context() as environment:
        running = docker_engine()
        try:
            address = running.__enter__()
        except DidNotStartError as error:
            pytest.skip(f"the Docker engine did not start: {error}")
        try:
            environment.setenv("DOCKER_HOST", address)
            client = docker.from_env(timeout=600)
            yield client
            client.close()
        finally:
            running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `HOST:PORT` of a registry."""
    with container_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small Debian with Python."""
    if kept := os.environ.get("TEST_DOCKER_DEBIAN"):  # one made before, to save its minute
        return Path(kept)
    root = tmp_path_factory.mktemp("debian")
    base_image.make_root(root)
    return root


@pytest.fixture(scope="session")
def plain_image(engine: DockerClient, registry: str, debian: Path) -> str:
    """An image in the registry with a working directory, an entrypoint and a variable of its own."""
    image = f"{registry}/plain:1"
    base_image.import_image(
        engine, debian, image, "WORKDIR /of-the-image", 'ENTRYPOINT ["/bin/false"]', "ENV OF_THE_IMAGE=yes"
    )
    base_image.push(engine, image)
    return image


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """A package index with this package as it would be released, a newer release, and what builds it."""
    wheels = tmp_path_factory.mktemp("wheels")
    build_wheel(wheels)
    with package_index(tmp_path_factory.mktemp("index")) as index:
        for wheel in wheels.glob("*.whl"):
            index.add(wheel)
        index.add_empty("zenml-azureml", "9.0")
        index.add_empty("only-in-its-own-image", "1.0")
        index.add_from_elsewhere(BUILD_BACKEND)
        yield index


@pytest.fixture(scope="session")
def zenml_image(
    engine: DockerClient, registry: str, debian: Path, index: PackageIndex, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The image that ZenML builds upon."""
    base, name = "zenml-azureml-tests/with-python:1", f"{registry}/with-zenml:1"
    base_image.import_image(engine, debian, base)
    parent_image.make_parent_image(engine, tmp_path_factory.mktemp("parent"), base, name, index.url)
    return name


@pytest.fixture(scope="session")
def a_team(
    engine: DockerClient, registry: str, index: PackageIndex, zenml_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """A team with a stack, whose operator signs in by a service connector."""
    del engine  # asked for first: without one there is nothing to start
    with team(tmp_path_factory.mktemp("team"), registry, index, zenml_image, os.environ["DOCKER_HOST"]) as made:
        yield made


@pytest.fixture
def in_containers(a_team: Team, engine: DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunInContainers]:
    """A run of the team's, each step of which is orchestrated by a container; no container of it outlives the test."""
    if "in_containers" not in a_team.zenml("stack", "list"):
        a_team.zenml("orchestrator", "register", "containers", "--flavor=local_docker")
        parts = ("-o", "containers", "-a", "blobs", "-i", "builder", "-c", "acr", "-s", "azureml")
        a_team.zenml("stack", "register", "in_containers", *parts)
    run = RunInContainers(a_team, engine, client_of(a_team.emulator, monkeypatch))
    yield run
    run.end()
