"""Copying of a job's code and data into its folder, and of its outputs to their places."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.jobs import web_data
from zenml_azureml.emulator.jobs.data import DataInput, JobData, is_within, plan_data
from zenml_azureml.emulator.jobs.data_errors import DataAccessError, data_failure
from zenml_azureml.emulator.jobs.exits import FailedError
from zenml_azureml.emulator.jobs.layout import ARTIFACT_FOLDERS, data_folder, node_folder, working_directory
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.places import Place
from zenml_azureml.emulator.state import Workspace

_READ_ONLY, _WRITABLE, _EXECUTABLE = 0o444, 0o644, 0o755


async def stage(context: Context, workspace: Workspace, job: Job) -> JobData:
    """Copy a job's code and inputs into its folder, and make the folders of its outputs.

    Args:
        context: The emulator.
        workspace: The job's workspace.
        job: The job; its folder exists.

    Raises:
        FailedError: If something that the job names does not exist.
        OSError: If it cannot be copied.
    """
    try:
        data = plan_data(context.folder, workspace, job, context.base_url)
        if data.code is None and not data.inputs:
            _stage_files(data, job)  # a thread would only take time
        else:
            await asyncio.to_thread(_stage_files, data, job)
        for one in data.inputs:
            if isinstance(one.source, str):
                await _download(one)
    except FailedError as failure:
        _note(job, failure)
        raise
    return data


async def finish(data: JobData) -> None:
    """Upload the outputs of a job that has succeeded, if they are not mounted.

    Microsoft documents that nothing is uploaded if a job fails or is cancelled.

    Args:
        data: The job's data.
    """
    if not all(output.is_mounted for output in data.outputs):
        await asyncio.to_thread(_upload, data)


async def remove_inputs(data: JobData) -> None:
    """Delete the copies of a job's inputs.

    Args:
        data: The job's data.
    """
    for one in data.inputs:
        await asyncio.to_thread(_remove, one.folder)


def _note(job: Job, failure: FailedError) -> None:
    """Write a failure to a system log of the job. Guess: its name; such logs are in this folder on Azure ML."""
    log = job.folder / "system_logs" / "data_capability" / "data-capability.log"
    _folder(log.parent)
    log.write_text(f"{failure.message}\n", encoding="utf-8")


def _stage_files(data: JobData, job: Job) -> None:
    for node in range(int(job.properties["resources"]["instanceCount"])):
        _stage_code(data.code, job.folder, working_directory(node_folder(job.folder, node)), shares_outputs=node > 0)
    root = data_folder(job.folder)
    if not is_within(job.folder, root):
        raise FailedError("UserError", "The folder of the job's data is a link.")
    root.mkdir(parents=True, exist_ok=True)
    for one in data.inputs:
        _remove(one.folder)
        one.folder.mkdir()
        if isinstance(one.source, Place):
            _copy(one.source, one.path, _READ_ONLY if one.mode == "ReadOnlyMount" else _WRITABLE)
    for output in data.outputs:
        if not output.is_mounted:
            _remove(output.path)
        _folder(output.path if output.kind != "uri_file" else output.path.parent)


def _stage_code(code: Place | None, job_folder: Path, folder: Path, *, shares_outputs: bool) -> None:
    if not is_within(job_folder, folder):
        raise FailedError("UserError", "The working directory of the job is a link.")
    _folder(folder)
    own = () if shares_outputs else ARTIFACT_FOLDERS
    for name in own:
        _folder(folder / name)
    for name, file in code.files() if code is not None else ():
        if shares_outputs and name.partition("/")[0] in ARTIFACT_FOLDERS:
            continue
        target = folder / name
        if is_within(folder, target):
            # Guess: the rights of the files; blobs have none.
            _copy_file(file, target, _EXECUTABLE)


def _copy(source: Place, target: Path, mode: int) -> None:
    if source.file.is_file():
        return _copy_file(source.file, target, mode)
    for name, file in source.files():
        _copy_file(file, target / name, mode)
    return None


def _copy_file(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _upload(data: JobData) -> None:
    for output in data.outputs:
        if output.is_mounted:
            continue
        if output.path.is_file() and not output.path.is_symlink():
            _copy_file(output.path, output.place.target, _WRITABLE)
        for file in _own_files(output.path):
            target = output.place.target / file.relative_to(output.path)
            if is_within(output.place.target, target):
                _copy_file(file, target, _WRITABLE)


def _own_files(folder: Path) -> Iterable[Path]:
    """Return the files in a folder of a job, but for links that lead out of it."""
    if folder.is_symlink():
        return ()
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and is_within(folder, path)]


async def _download(one: DataInput) -> None:
    assert isinstance(one.source, str)  # noqa: S101 - the caller looked
    try:
        await web_data.download(one.source, one.path, is_folder=one.path == one.folder)
    except DataAccessError as error:
        raise data_failure(one.name, one.uri, one.mode, error) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FailedError("UserError", f"The path of the folder {path.name} is a file.") from error
