"""An image with ZenML in it, as `zenmldocker/zenml` is one: what ZenML builds the images of pipelines on."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

from docker.types import Mount
from packaging.requirements import Requirement
from zenml.integrations.azure import AzureIntegration

from docker import DockerClient
from tests.e2e.environments import SOURCE

#: What ZenML's Azure integration needs beside what `requirements.lock` has, and what ZenML's builds install with.
_BESIDE = ("kubernetes==36.0.3", "uv==0.13.9")
#: Found again where the tests of a running engine are run again.
_INSTALLED = "zenml-azureml-tests/with-zenml:1"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def make_parent_image(client: DockerClient, folder: Path, base: str, name: str, index_url: str) -> None:
    """Make it, and push it.

    What Azure's components and this package depend on is in it, at the locked versions: so that the builds of
    pipelines fetch only what an index on the loopback has.

    Args:
        client: The engine.
        folder: An empty folder.
        base: An image with Python.
        name: What to call it, its registry in it.
        index_url: The package index that pip uses in builds upon it.
    """
    if not client.images.list(_INSTALLED):
        _install(client, folder, base, _INSTALLED)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(
        f"FROM {_INSTALLED}\nENV PIP_INDEX_URL={index_url} UV_DEFAULT_INDEX={index_url} UV_SYSTEM_PYTHON=1\n"
    )
    client.images.build(path=str(folder), tag=name)
    for line in client.images.push(name, stream=True, decode=True):
        assert "error" not in line, line


def _install(client: DockerClient, folder: Path, base: str, name: str) -> None:
    locked = folder / "constraints.txt"
    locked.write_text(constraints())
    configuration = folder / "pip.conf"
    configuration.write_text(pip_configuration())
    mounts = [
        Mount(target, str(source), type="bind", read_only=True)
        for target, source in (
            ("/constraints.txt", locked),
            ("/etc/pip.conf", configuration),
            (CERTIFICATES, certificates()),
        )
    ]
    wanted = [f"zenml=={version('zenml')}", *_BESIDE, *AzureIntegration.REQUIREMENTS, *_dependencies()]
    command = ["pip", "install", "--quiet", "--no-cache-dir", "-c", "/constraints.txt", *wanted]
    container = client.containers.create(base, command, network_mode="host", mounts=mounts, entrypoint="")
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0, container.logs(tail=30).decode()
        repository, _, tag = name.rpartition(":")
        container.commit(repository=repository, tag=tag)
    finally:
        container.remove(force=True)


def constraints() -> str:
    """The versions of `requirements.lock`."""
    lines = (SOURCE / "requirements.lock").read_text().splitlines()
    return "\n".join(line.rstrip("\\ ") for line in lines if line[:1].isalnum())


def certificates() -> str:
    """The certificates that pip of this machine trusts."""
    return os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE") or CERTIFICATES


def _dependencies() -> list[str]:
    """What this package itself depends on."""
    wanted = [Requirement(text) for text in requires("zenml-azureml") or ()]
    return [str(requirement) for requirement in wanted if requirement.marker is None]


def pip_configuration() -> str:
    """This machine's, as far as it says where packages are: a container has no other way to them than the machine."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = ["[global]", f"cert = {CERTIFICATES}", "timeout = 180"]
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name, value = key.rpartition(".")[2], value.strip("'")
        if name in {"index-url", "extra-index-url", "trusted-host", "proxy"} and "file:" not in value:
            lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"
