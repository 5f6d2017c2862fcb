"""Places of data: paths in the containers of a workspace's storage account, as files of this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zenml_azureml.emulator.local.private_files import inside, shown
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.datastore_uris import long_uri, short_uri
from zenml_azureml.emulator.services.storage.files import JOB_PARTS, files_in, part_of_job
from zenml_azureml.emulator.services.storage.sas import CONTAINER
from zenml_azureml.emulator.state import Workspace

_OF_A_JOB = re.compile(r"ExperimentRun/dcid\.(?P<job>[^/]+)(?:/(?P<part>[^/]+)(?:/(?P<rest>.+))?)?", re.DOTALL)


class AssetPathError(Exception):
    """A reference that leads to nothing.

    Attributes:
        code: Code for the error of a job.
        message: Message for it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = "UserError"
        self.message = message


@dataclass(frozen=True)
class Place:
    """A path in a datastore: a file, a folder, or nothing yet.

    Attributes:
        datastore: Name of the datastore; empty if the path is in a container that no datastore leads to.
        container: Its container, or its file share.
        path: Path in the container, without slashes at its ends; empty for the container.
        file: Path on this machine.
        uri: The short form of its URI.
        long_uri: The long form of its URI.
        parts: Folders and files that it is made of, with their names in it; none for a path that is one file or folder.
        added: Path on this machine for further files, if the place is made of parts.
    """

    datastore: str
    container: str
    path: str
    file: Path
    uri: str
    long_uri: str
    parts: tuple[tuple[str, Path], ...] = ()
    added: Path | None = None

    @property
    def target(self) -> Path:
        """Path on this machine that an output is written to."""
        return self.added or self.file

    @property
    def exists(self) -> bool:
        """True if there is a file or a folder."""
        return self.file.exists()

    def files(self) -> list[tuple[str, Path]]:
        """Return its files with their names in it; links that lead out of it are left out."""
        if self.file.is_file():
            return [(self.file.name, self.file)]
        if self.parts:
            return [
                (f"{part}/{name}" if name else part, file)
                for part, source in self.parts
                for name, file in ([("", source)] if source.is_file() else files_in(source))
            ]
        return list(files_in(self.file))


def place_in(workspace: Workspace, datastore: str, container: str, root: Path, path: str) -> Place:
    """Return a path in a container; in the container of jobs' files, paths of a job are in the job's own folder.

    Args:
        workspace: The workspace.
        datastore: Name of the datastore.
        container: Its container.
        root: The folder of the container.
        path: The path in it.

    Raises:
        AssetPathError: If the path leads out of the container.
    """
    path = path.strip("/")
    of_job = _OF_A_JOB.fullmatch(path) if container == CONTAINER else None
    job = workspace.find_job(of_job["job"]) if of_job else None
    if of_job and job and of_job["part"] in (None, *JOB_PARTS):  # MLflow's artifacts of a job are in the container
        return _of_job(workspace, datastore, root, job, of_job)
    file = inside(root, path) if path else root
    if file is None:
        raise AssetPathError(f"The path {shown(path)} is not in the container {container}.")
    return Place(datastore, container, path, file, short_uri(datastore, path), long_uri(workspace, datastore, path))


def _logged(container: Path, path: str) -> list[tuple[str, Path]]:
    """Return what a job has logged with MLflow, which is in the container: its files and folders with their names."""
    folder = inside(container, path)
    names = sorted(one.name for one in folder.iterdir()) if folder and folder.is_dir() else []
    found = [(name, inside(container, f"{path}/{name}")) for name in names]
    return [(name, file) for name, file in found if file is not None]


def _of_job(workspace: Workspace, datastore: str, container: Path, job: Job, found: re.Match[str]) -> Place:
    """Return a path in the files of a job, which are in its own folder; all of them have MLflow's artifacts too."""
    path, part = found.group(), found["part"]
    uris = short_uri(datastore, path), long_uri(workspace, datastore, path)
    if part is None:
        own = [(name, part_of_job(job, name)) for name in JOB_PARTS]
        return Place(
            datastore, CONTAINER, path, job.folder, *uris, (*own, *_logged(container, path)), inside(container, path)
        )
    root = part_of_job(job, part)
    file = inside(root, found["rest"]) if found["rest"] else root
    if file is None:
        raise AssetPathError(f"The path {shown(path)} is not in the files of job {job.name}.")
    return Place(datastore, CONTAINER, path, file, *uris)
