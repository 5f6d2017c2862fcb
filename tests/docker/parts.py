"""Every real part at once, for programs that are no tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
from tests.docker import base_image, parent_image
from tests.docker.engine import docker_engine
from tests.docker.package_index import package_index
from tests.docker.registry import container_registry
from tests.docker.team import Team, team
from tests.e2e.environments import build_wheel

_BASE = "zenml-azureml-tests/with-python:1"


@contextmanager
def a_team_in(folder: Path) -> Iterator[Team]:
    """A team with everything that it needs, for the length of a `with`.

    Args:
        folder: An empty folder.

    Raises:
        DidNotStartError: If something does not start.
    """

    def part(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    with ExitStack() as running:
        os.environ["DOCKER_HOST"] = address = running.enter_context(docker_engine())
        engine = docker.from_env(timeout=600)
        running.callback(engine.close)
        registry = running.enter_context(container_registry(part("registry")))
        index = running.enter_context(package_index(part("index")))
        build_wheel(part("wheels"))
        for wheel in (folder / "wheels").glob("*.whl"):
            index.add(wheel)
        index.add_empty("only-in-its-own-image", "1.0")
        root = Path(os.environ.get("TEST_DOCKER_DEBIAN") or part("debian"))
        if not list(root.iterdir()):
            base_image.make_root(root)
        base_image.import_image(engine, root, _BASE)
        image = f"{registry}/with-zenml:1"
        parent_image.make_parent_image(engine, part("parent"), _BASE, image, index.url)
        yield running.enter_context(team(part("team"), registry, index, image, address))
