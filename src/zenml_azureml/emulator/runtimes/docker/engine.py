"""The Docker engine of this machine, as far as jobs need it. All calls block: call them from threads.

Thread-safe: of the `docker` package's client only its pool of connections is shared.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from docker.errors import APIError, BuildError, DockerException, NotFound
from docker.models.containers import Container
from docker.types import Mount
from docker.utils import parse_repository_tag

import docker
from zenml_azureml.emulator.runtimes.base import BuildContext, EngineError
from zenml_azureml.emulator.runtimes.docker.errors import (
    architecture_mismatch,
    build_failure,
    pull_failure,
    refused_container,
)
from zenml_azureml.emulator.runtimes.docker.marker import ENGINE_MARK

#: Label with the state folder of a container's emulator. Finds the containers that a killed emulator left behind.
_LABEL = "zenml-azureml.emulator"
_JOB_LABEL = "zenml-azureml.job"
#: Label with the run of the emulator that started a container: its reaper must not remove those of the next run.
_RUN_LABEL = "zenml-azureml.emulator-run"

_ADDRESS = "DOCKER_HOST"

#: The share of this machine's memory that a container can have at most, however large its VM size is.
_MEMORY_SHARE = 0.9


class DockerEngine:
    """The engine that the environment variables of the `docker` command lead to.

    Args:
        state: State folder of the emulator that the containers belong to.
        address: Of the engine, e.g. `unix:///var/run/docker.sock`, instead of `DOCKER_HOST`; empty for the usual one.

    Raises:
        EngineError: If it does not answer.
    """

    def __init__(self, state: Path, address: str | None = None) -> None:
        self._state = state
        self._run = uuid.uuid4().hex
        self._address = os.environ.get(_ADDRESS, "") if address is None else address
        try:
            self._client = docker.from_env(environment={**os.environ, _ADDRESS: self._address})
            self._architecture = str(self._client.version()["Arch"])
        except DockerException as error:
            raise EngineError(
                f"No Docker engine answers: {error}. Start one, or set DOCKER_HOST to its address."
            ) from error

    @property
    def run(self) -> tuple[Path, str, str]:
        """What finds the containers of this object: the state folder, the engine's address, and the run's label."""
        return self._state, self._address, self._run

    def mark(self) -> None:
        """Note in the state folder that containers may be here from now on."""
        (self._state / ENGINE_MARK).write_text(self._address)

    def pull(self, image: str, job_name: str) -> None:
        """Get an image from its registry, for this machine's architecture.

        Args:
            image: Its reference.
            job_name: The job that needs it.

        Raises:
            FailedError: If the registry does not give it, or only for another architecture.
        """
        try:
            repository, tag = parse_repository_tag(image)
            for line in self._client.api.pull(repository, tag or "latest", stream=True, decode=True):
                if "error" in line:
                    raise pull_failure(image, str(line["error"]))
            found = self._client.images.get(image)
        except APIError as error:
            said = str(error.explanation or error)
            if "no matching manifest" in said:
                raise architecture_mismatch(job_name) from error
            raise pull_failure(image, said) from error
        except DockerException as error:
            raise pull_failure(image, str(error)) from error
        if found.attrs["Architecture"] not in {self._architecture, ""}:
            raise architecture_mismatch(job_name)

    def build(self, context: BuildContext, network: str | None) -> str:
        """Build an image of a folder. What the engine has built before it takes from its cache.

        Args:
            context: The folder.
            network: Network for its commands; None for the engine's default.

        Returns:
            The reference of the image.

        Raises:
            FailedError: If the engine cannot build it.
        """
        image = f"zenml-azureml-emulator/{re.sub(r'[^a-z0-9]+', '-', context.name.lower()).strip('-') or 'image'}"
        try:
            built, _ = self._client.images.build(
                path=str(context.folder),
                dockerfile=context.dockerfile,
                tag=image,
                rm=True,
                forcerm=True,
                network_mode=network,
                labels={_LABEL: str(self._state)},
            )
        except BuildError as error:
            said = "".join(str(line.get("stream") or line.get("error") or "") for line in error.build_log)
            raise build_failure(context.name, said) from error
        except (DockerException, TypeError, OSError) as error:
            raise build_failure(context.name, str(getattr(error, "explanation", None) or error)) from error
        # Several emulators may build one of that name at the same time.
        return str(built.id)

    def start(self, image: str, job_name: str, options: dict[str, Any]) -> Container:
        """Start a container that is found again by its labels.

        Args:
            image: The image.
            job_name: The job that it belongs to.
            options: Arguments of `docker.models.containers.ContainerCollection.create`.

        Raises:
            FailedError: If the engine refuses it.
        """
        labels = {_LABEL: str(self._state), _JOB_LABEL: job_name, _RUN_LABEL: self._run}
        container: Container | None = None
        try:
            container = self._client.containers.create(image, labels=labels, **options)
            container.start()
        except (DockerException, TypeError, ValueError) as error:
            if container is not None:
                self.remove(container)
            raise refused_container(str(getattr(error, "explanation", None) or error)) from error
        return container

    def give_back(self, image: str, folders: Sequence[Path]) -> None:
        """Make everything in folders this user's, whichever user of a container has written it.

        Args:
            image: An image that the engine has, with `chown`.
            folders: The folders.

        Raises:
            EngineError: If the engine or the image does not do it.
        """
        try:
            self._client.containers.run(
                image,
                ["-R", "-h", f"{os.geteuid()}:{os.getegid()}", *map(str, folders)],
                entrypoint=["chown"],
                user="0:0",
                network_mode="none",
                mounts=[Mount(str(folder), str(folder), type="bind") for folder in folders],
                labels={_LABEL: str(self._state), _RUN_LABEL: self._run},
                remove=True,
            )
        except DockerException as error:
            raise EngineError(str(error)) from error

    def output(self, container: Container) -> Iterator[bytes]:
        """Yield the output of a container, from its beginning to its end."""
        lines: Iterator[bytes] = container.logs(stream=True, follow=True)
        return lines

    def exit_code(self, container: Container) -> int:
        """Wait for a container's end; its exit code, 128 + N for signal N."""
        return int(container.wait(timeout=None)["StatusCode"])

    def stop(self, container: Container, grace: float) -> None:
        """End a container: asked first, killed after a grace time in seconds."""
        with suppress(NotFound):  # it has been removed meanwhile
            container.stop(timeout=round(grace))

    def kill(self, container: Container) -> None:
        """Kill a container if it runs."""
        with suppress(NotFound, APIError):  # it has ended meanwhile
            container.kill()

    def remove(self, container: Container) -> None:
        """Kill a container if it runs, and remove it with its volumes."""
        try:
            container.remove(force=True, v=True)
        except NotFound:
            pass
        except APIError as error:
            if error.status_code != 409:  # it is being removed already
                raise

    def remove_all(self) -> None:
        """Remove every container of this emulator, those too that a killed one has left behind."""
        self._remove_labelled(_LABEL, str(self._state))
        (self._state / ENGINE_MARK).unlink(missing_ok=True)

    def remove_run(self, run: str) -> None:
        """Remove every container of one run of this emulator.

        Args:
            run: Label of the run.

        Raises:
            EngineError: If the engine does not answer.
        """
        try:
            self._remove_labelled(_RUN_LABEL, run)
        except DockerException as error:
            raise EngineError(str(error)) from error

    def _remove_labelled(self, label: str, value: str) -> None:
        for container in self._client.containers.list(all=True, sparse=True, filters={"label": f"{label}={value}"}):
            self.remove(container)


def memory_limit(memory_gb: float | None) -> int:
    """Bytes of memory that a container can have.

    Args:
        memory_gb: Memory of the VM size, in GB; None if unknown.

    Returns:
        As much as the VM has, or as this machine can give if that is less.
    """
    most = int(psutil.virtual_memory().total * _MEMORY_SHARE)
    return most if memory_gb is None else min(most, int(memory_gb * 1024**3))
