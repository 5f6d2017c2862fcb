"""The storage account of a workspace as files of this machine: a blob is a file, and what a job writes is a blob.

`STATE/datastores/ACCOUNT/containers/CONTAINER/NAME` is the content of a blob. In the container of jobs' files, the logs
and outputs of a job are those in the job's own folder. As in an account with a hierarchical namespace, a name is a file
or a folder: blobs `a` and `a/b` exclude each other.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from operator import attrgetter
from pathlib import Path

from zenml_azureml.emulator.jobs.layout import ARTIFACT_FOLDERS, working_directory
from zenml_azureml.emulator.local.private_files import inside
from zenml_azureml.emulator.local.state_folder import folder_of_jobs
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.storage.errors import BlobError
from zenml_azureml.emulator.services.storage.properties import BlobProperties, read_properties
from zenml_azureml.emulator.services.storage.sas import CONTAINER, account_folder
from zenml_azureml.emulator.state import Workspace

#: Folders of a job whose files are blobs. Source: Microsoft, "How to save and write files for experiments".
JOB_PARTS = ("logs", "outputs", "system_logs", "user_logs")

_OF_A_JOB = re.compile(r"ExperimentRun/dcid\.(?P<job>[^/]+)/(?P<part>[^/]+)/(?P<path>.+)", re.DOTALL)
#: Source: Microsoft, "Naming and referencing containers, blobs, and metadata".
_CONTAINER_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$root|\$logs|\$web")
_LONGEST_NAME = 1_024


@dataclass(frozen=True)
class Blob:
    """A file as a blob.

    Attributes:
        name: Of the blob.
        file: Path of the file.
        size: In bytes.
        modified: Time of its last write.
        created: Time of its creation.
        etag: Changes with every write.
        properties: Its other properties.
    """

    name: str
    file: Path
    size: int
    modified: datetime
    created: datetime
    etag: str
    properties: BlobProperties


@dataclass(frozen=True)
class _Root:
    """A folder whose files are the blobs whose names begin with a prefix."""

    prefix: str
    folder: Path
    job: Job | None = None


class AccountFiles:
    """The files of a workspace's storage account.

    Args:
        state_folder: The emulator's state folder.
        workspace: The workspace.
    """

    def __init__(self, state_folder: Path, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = folder_of_jobs(state_folder, "datastores") / account_folder(workspace)

    def containers(self) -> list[str]:
        """Return the names of all containers."""
        made = self._folder / "containers"
        found = {path.name for path in made.iterdir()} if made.is_dir() else set()
        return sorted(found | set(default_containers(self._workspace)))

    def has_container(self, name: str) -> bool:
        """True if there is a container of that name."""
        return name in default_containers(self._workspace) or (
            _CONTAINER_NAME.fullmatch(name) is not None and self.container(name).is_dir()
        )

    def container(self, name: str) -> Path:
        """Return the folder of a container; it need not exist.

        Raises:
            BlobError: 400, if no container can have that name.
        """
        if not _CONTAINER_NAME.fullmatch(name):
            raise BlobError(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
        return self._folder / "containers" / name

    def share(self, name: str) -> Path:
        """Return the folder of a file share, of which no service is emulated; it need not exist."""
        return self._folder / "shares" / name

    def file(self, container: str, name: str) -> Path:
        """Return the path of a blob's file, which need not exist.

        Raises:
            BlobError: 400, if no file of this machine can have that name.
        """
        root = self._root_of(container, name)
        found = inside(root.folder, name.removeprefix(root.prefix)) if _can_be_a_name(name) else None
        if found is None:
            # Guess: Azure takes some of these names.
            raise BlobError(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
        return found

    def find(self, container: str, name: str) -> Blob | None:
        """Return a blob; None if there is none."""
        root = self._root_of(container, name)
        if not _can_be_a_name(name):
            return None
        with suppress(OSError):  # the name is too long, or a job has deleted the file meanwhile
            file = root.folder / name.removeprefix(root.prefix)
            if _is_inside(file, root.folder) and file.is_file():
                return self._blob(container, name, file, root.job)
        return None

    def blobs(self, container: str, prefix: str = "") -> Iterator[Blob]:
        """Yield the blobs whose names begin with a prefix, in the order of their names."""
        walks = (self._walk(container, root, prefix) for root in self._roots(container, prefix))
        yield from heapq.merge(*walks, key=attrgetter("name"))

    def properties_path(self, container: str, name: str) -> Path:
        """Return the path of the file with a blob's properties."""
        return self._folder / "properties" / container / f"{sha256(name.encode()).hexdigest()}.json"

    def uploads(self) -> Path:
        """Return a folder for what is not a blob yet; it exists then."""
        folder = self._folder / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def blocks(self, container: str, name: str) -> Path:
        """Return the folder of a blob's blocks that are not committed; it need not exist."""
        return self._folder / "blocks" / sha256(f"{container}/{name}".encode()).hexdigest()

    def _root_of(self, container: str, name: str) -> _Root:
        found = _OF_A_JOB.fullmatch(name) if container == CONTAINER else None
        job = self._workspace.find_job(found["job"]) if found else None
        if found and job and job.name == found["job"] and found["part"] in JOB_PARTS:
            return _job_root(job, found["part"])
        return _Root("", self.container(container))

    def _roots(self, container: str, prefix: str) -> Iterator[_Root]:
        yield _Root("", self.container(container))
        if container == CONTAINER:
            for job in self._workspace.jobs.values():
                for part in JOB_PARTS:
                    root = _job_root(job, part)
                    if root.prefix.startswith(prefix) or prefix.startswith(root.prefix):
                        yield root

    def _walk(self, container: str, root: _Root, prefix: str) -> Iterator[Blob]:
        wanted = prefix.removeprefix(root.prefix) if prefix.startswith(root.prefix) else ""
        for name, file in files_in(root.folder, wanted):
            with suppress(OSError):  # a job has deleted it meanwhile
                yield self._blob(container, root.prefix + name, file, root.job)

    def _blob(self, container: str, name: str, file: Path, job: Job | None) -> Blob:
        status = file.stat()
        modified = datetime.fromtimestamp(status.st_mtime, timezone.utc)
        properties = read_properties(self.properties_path(container, name), status)
        created = properties.created_at if properties else None
        if created is None and job is not None:
            created = job.log_files.setdefault((file, status.st_ino), modified)
        return Blob(
            name=name,
            file=file,
            size=status.st_size,
            modified=modified,
            created=created or modified,
            etag=f'"0x8D{status.st_mtime_ns + status.st_size + status.st_ino:013X}"',
            properties=properties or BlobProperties("AppendBlob" if job is not None else "BlockBlob"),
        )


def default_containers(workspace: Workspace) -> tuple[str, str]:
    """Return the containers of every workspace: that of jobs' files, and that of its default datastore."""
    return CONTAINER, f"azureml-blobstore-{workspace.workspace_id}"


def job_folder(job_name: str) -> str:
    """Return the prefix of a job's files in the container of jobs' files.

    Recorded: history_batchGetResolvedUris.json.
    """
    return f"ExperimentRun/dcid.{job_name}"


def files_in(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder with their names in it, in the order of the names.

    Links that lead out of the folder are left out: a job must not show what is elsewhere. Names that are not UTF-8 or
    have control characters are left out as well: no blob has such a name.

    Args:
        folder: The folder; need not exist.
        prefix: Beginning of the names to yield.
    """
    parent, _, _ = prefix.rpartition("/")
    start = inside(folder, parent) if parent else folder
    if start is not None and start.is_dir() and not folder.is_symlink():
        yield from _files(folder, start, f"{parent}/" if parent else "", prefix)


def _files(root: Path, folder: Path, above: str, prefix: str) -> Iterator[tuple[str, Path]]:
    try:
        entries = {f"{above}{entry.name}{_end_of(entry)}": entry for entry in os.scandir(folder)}
    except OSError:
        return
    for name in sorted(name for name in entries if name.startswith(prefix) or prefix.startswith(name)):
        path, is_link = Path(entries[name].path), entries[name].is_symlink()
        if not _can_be_a_name(name.rstrip("/")) or (is_link and not _is_inside(path, root)):
            continue
        if name.endswith("/"):
            if not is_link:  # a link to a folder above would have no end
                yield from _files(root, path, name, prefix)
        elif path.is_file():
            yield name, path


def part_of_job(job: Job, part: str) -> Path:
    """Return the folder of one of `JOB_PARTS`: a job writes two of them in its working directory.

    Args:
        job: The job.
        part: Name of the part.
    """
    return (working_directory(job.folder) if part in ARTIFACT_FOLDERS else job.folder) / part


def _end_of(entry: os.DirEntry[str]) -> str:
    """Return what the name of a folder ends with: so its files stand where their whole names stand."""
    try:
        return "/" if entry.is_dir() else ""
    except OSError:  # a link to itself
        return ""


def _job_root(job: Job, part: str) -> _Root:
    return _Root(f"{job_folder(job.name)}/{part}/", part_of_job(job, part), job)


def _is_inside(file: Path, folder: Path) -> bool:
    return inside(folder, file.relative_to(folder).as_posix()) is not None


def _can_be_a_name(name: str) -> bool:
    """True if a file and a blob can have a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    parts = name.split("/")
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and not {"", ".", ".."} & set(parts)
