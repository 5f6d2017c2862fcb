"""What jobs read and write of assets and datastores, as files of this machine.

`find_place` resolves each form of reference that a job's input, output or code can have; the files are then read and
written with ordinary calls, and are blobs at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from zenml_azureml.emulator.local.private_files import shown
from zenml_azureml.emulator.resources import AssetVersion, Job
from zenml_azureml.emulator.services.aml.datastore_uris import evaluated, parse_uri, workspace_in
from zenml_azureml.emulator.services.aml.datastores import properties_of
from zenml_azureml.emulator.services.aml.output_references import ARTIFACTS, OutputReference, output_reference
from zenml_azureml.emulator.services.aml.places import AssetPathError, Place, place_in
from zenml_azureml.emulator.services.storage.files import AccountFiles, job_folder
from zenml_azureml.emulator.services.storage.sas import account_folder
from zenml_azureml.emulator.state import Workspace

_ID = re.compile(
    r"(?:azureml:)?/?(?P<scope>/subscriptions/.+/workspaces/[^/]+|/?locations/[^/]+/workspaces/[^/]+)"
    r"/(?P<kind>codes|data|models|components|environments)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)
_OF_REGISTRY = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<kind>data|models)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?:azureml:)?(?P<name>[^/:@]+)(?::(?P<version>[^/:@]+)|@(?P<label>[^/:@]+))")
#: The key of a version's properties that has its place.
_URI_KEYS = {"codes": "codeUri", "data": "dataUri", "models": "modelUri"}


def find_place(state_folder: Path, workspace: Workspace, reference: str, *, kind: str = "data") -> Place:
    """Return the path that a reference leads to, which need not exist.

    Args:
        state_folder: The emulator's state folder.
        workspace: The workspace.
        reference: A URI of a datastore's path, an id or a short name of an asset, or the address of a blob of the
            workspace's storage account.
        kind: Of a short name: `data`, `models` or `codes`.

    Raises:
        AssetPathError: If the reference leads to no datastore, or the asset does not exist.
    """
    output = output_reference(reference)
    if output is not None:
        return _of_output(state_folder, workspace, output)
    found = parse_uri(reference)
    if found is not None:
        _check_workspace(workspace, reference)
        return _in_datastore(state_folder, workspace, *found)
    if urlsplit(reference).scheme in ("https", "wasbs"):
        return _at_address(state_folder, workspace, reference)
    asset, plural = _asset(workspace, reference, kind), _kind_in(reference, kind)
    if plural not in _URI_KEYS:
        raise AssetPathError(f"{shown(reference)} has no path.")
    return find_place(state_folder, workspace, str(asset.properties[_URI_KEYS[plural]]))


def job_place(state_folder: Path, workspace: Workspace, job_name: str) -> Place:
    """Return the path of a job's own files, `ExperimentRun/dcid.JOB`.

    Args:
        state_folder: The emulator's state folder.
        workspace: The workspace.
        job_name: Name of the job.
    """
    return _in_datastore(state_folder, workspace, "workspaceartifactstore", job_folder(job_name))


def output_place(state_folder: Path, workspace: Workspace, job: Job, output: str) -> Place:
    """Return the path of an output of a job.

    Args:
        state_folder: The emulator's state folder.
        workspace: The workspace of the job.
        job: The job.
        output: Name of the output: one of the job's own, `artifacts` or `default`.

    Raises:
        AssetPathError: If the job has no such output, or its datastore does not exist.
    """
    sent = job.properties["outputs"].get(output)
    if output in ARTIFACTS and (sent is None or not parse_uri(sent["uri"] or "")):
        return job_place(state_folder, workspace, job.name)
    if sent is None:
        # Guess: the message.
        raise AssetPathError(f"Job {job.name} has no output named {shown(output)}.")
    uri = output_uri(workspace, job, output)
    return (
        find_place(state_folder, workspace, uri) if uri else default_output(state_folder, workspace, job.name, output)
    )


def output_uri(workspace: Workspace, job: Job, output: str) -> str:
    """Return the URI of an output; empty if it is at its default path.

    Args:
        workspace: The workspace of the job.
        job: The job.
        output: Name of one of its outputs.
    """
    written = job.output_assets.get(output) if job.properties["jobType"] == "Pipeline" else None
    if written is not None and (version := version_of(workspace, *written)) is not None:
        return str(version.properties[_URI_KEYS[written[0]]])  # by a node, whose name its path may have
    sent = job.properties["outputs"][output]["uri"] or ""
    return evaluated(sent, datastore=workspace.default_datastore, job=job.name, output=output)


def default_output(state_folder: Path, workspace: Workspace, job_name: str, output_name: str) -> Place:
    """Return the path of an output that names none. Source: Microsoft, "Read and write data in jobs".

    Args:
        state_folder: The emulator's state folder.
        workspace: The workspace.
        job_name: Name of the job.
        output_name: Name of the output.
    """
    return _in_datastore(state_folder, workspace, workspace.default_datastore, f"azureml/{job_name}/{output_name}")


def version_of(workspace: Workspace, kind: str, name: str, version: str | None = None) -> AssetVersion | None:
    """Return a version of an asset; None if there is none.

    Args:
        workspace: The workspace.
        kind: `environments`, `data`, `models`, `codes` or `components`.
        name: Name of the asset.
        version: The version; None for the latest.
    """
    container = workspace.assets_of(kind).get(name)
    if container is None:
        return None
    return container.latest if version is None else container.versions.get(version)


def _of_output(state_folder: Path, workspace: Workspace, reference: OutputReference) -> Place:
    job = workspace.find_job(reference.job)
    if job is None:
        # Guess: the message for a missing job that a path names.
        raise AssetPathError(f"Job {shown(reference.job)} not found.")
    place = output_place(state_folder, workspace, job, reference.output)
    if not reference.path:
        return place
    return find_place(state_folder, workspace, f"{place.uri.rstrip('/')}/{reference.path}")


def _kind_in(reference: str, kind: str) -> str:
    found = _ID.fullmatch(reference) or _OF_REGISTRY.fullmatch(reference)
    return found["kind"].lower() if found else kind


def _asset(workspace: Workspace, reference: str, kind: str) -> AssetVersion:
    found = _ID.fullmatch(reference)
    if found is not None:
        scope = found["scope"].lower()
        here = (workspace.path.lower(), f"/workspaces/{workspace.workspace_id}")
        if not scope.endswith(here):
            raise AssetPathError(f"{shown(reference)} is not in the workspace {workspace.name}.")
        version = version_of(workspace, found["kind"].lower(), found["name"], found["version"])
    elif (shared := _OF_REGISTRY.fullmatch(reference)) is not None:
        # Registries are kept with one workspace, whose jobs find their assets; those of others do not.
        kept = f"registries/{shared['registry']}/{shared['kind'].lower()}"
        version = version_of(workspace, kept, shared["name"], shared["version"])
    else:
        short = _SHORT.fullmatch(reference)
        if short is None or short["label"] not in (None, "latest"):
            raise AssetPathError(f"{shown(reference)} is not the name of an asset or of a path.")
        version = version_of(workspace, kind, short["name"], short["version"])
    if version is None:
        raise AssetPathError(f"The asset {shown(reference)} does not exist in the workspace {workspace.name}.")
    return version


def _check_workspace(workspace: Workspace, uri: str) -> None:
    named = workspace_in(uri)
    mine = (workspace.subscription_id, workspace.resource_group, workspace.name)
    if named is not None and [part.lower() for part in named] != [part.lower() for part in mine]:
        raise AssetPathError(f"{shown(uri)} is not in the workspace {workspace.name}.")


def _in_datastore(state_folder: Path, workspace: Workspace, datastore: str, path: str) -> Place:
    properties = properties_of(workspace, datastore)
    if properties is None:
        raise AssetPathError(f"The datastore {shown(datastore)} does not exist in the workspace {workspace.name}.")
    account = properties.get("accountName")
    if account is not None and str(account).rpartition("/")[2] != account_folder(workspace):
        raise AssetPathError(
            f"The datastore {shown(datastore)} leads to the storage account {shown(str(account))}, which this emulator "
            "does not have."
        )
    files = AccountFiles(state_folder, workspace)
    share = properties.get("fileShareName")
    container = str(share or properties.get("containerName") or properties.get("filesystem") or "")
    root = files.share(container) if share else files.container(container)
    return place_in(workspace, datastore, container, root, path)


def _at_address(state_folder: Path, workspace: Workspace, address: str) -> Place:
    """Return the path of a blob's address, which names a container, and the account only in some clients."""
    files = AccountFiles(state_folder, workspace)
    parts = unquote(urlsplit(address).path).strip("/").split("/")
    if parts and parts[0].startswith(f"{account_folder(workspace)}.blob."):
        parts = parts[1:]
    if not parts or not files.has_container(parts[0]):
        raise AssetPathError(f"{shown(address)} is not in the storage account of the workspace {workspace.name}.")
    container, path = parts[0], "/".join(parts[1:])
    datastores = ("workspaceblobstore", "workspaceartifactstore", *workspace.datastores)
    datastore = next(
        (name for name in datastores if (properties_of(workspace, name) or {}).get("containerName") == container), ""
    )
    return place_in(workspace, datastore, container, files.container(container), path)
