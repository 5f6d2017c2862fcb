"""Outputs of runs: the assets that they are, and where these are kept.

Recorded: history_batchGetResolvedUris.json and the `outputs` of history_rundata_failed_command.json. Guess: the form of
what is said of models, which is as the Azure ML SDK reads it, and that unknown ids are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from zenml_azureml.emulator.jobs.registration import anonymous_name
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.asset_paths import find_place, job_place
from zenml_azureml.emulator.services.aml.places import AssetPathError, Place
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_TYPES = {
    **{"uri_file": "UriFile", "uri_folder": "UriFolder", "mltable": "MLTable"},
    **{"custom_model": "CustomModel", "mlflow_model": "MLFlowModel", "triton_model": "TritonModel"},
}
_DEFAULT = re.compile(
    r"azureml://locations/[^/]+/workspaces/(?P<id>[^/]+)/data/azureml_(?P<job>.+)_output_data_default/"
)


def run_outputs(job: Job, workspace: Workspace, client: str = "") -> Json:
    """Return the `outputs` of a run: its artifacts, and what it has written if it has succeeded.

    Azure ML answers `UriFolder` to every client. azure-ai-ml 1.35 expects `uri_folder`, and so it downloads no named
    output (Azure/azure-sdk-for-python#48941); of models, it cannot ask where they are. This client alone gets what it
    reads: its users see here what its documentation promises.

    Args:
        job: The run.
        workspace: Its workspace.
        client: The client, as it names itself in `User-Agent`.
    """
    misreads = client.startswith("azure-ai-ml/1.35.")
    outputs = {"default": {"assetId": _id(workspace, "data", anonymous_name(job, "default"), "1"), "type": "UriFolder"}}
    for name, (kind, asset, version) in job.output_assets.items():
        sent = str(job.properties["outputs"][name]["jobOutputType"])
        type_ = _TYPES.get(sent, "UriFolder")
        if misreads:
            type_ = sent if kind == "data" else "uri_folder"
        outputs[name] = {"assetId": _id(workspace, kind, asset, version), "type": type_}
    return outputs


def resolved(state_folder: Path, workspace: Workspace, ids: list[str], *, kind: str) -> Json:
    """Return where assets are kept, by their ids.

    Args:
        state_folder: The state folder of the emulator.
        workspace: The workspace.
        ids: Ids as in the outputs of runs.
        kind: `data` or `models`.
    """
    found: Json = {}
    for one in ids:
        place = _place(state_folder, workspace, one, kind)
        if place is None:
            continue
        uri, is_file = place.long_uri, place.file.is_file()
        if kind == "models":
            found[one] = {"path": uri, "type": "Uri"}
            continue
        # Recorded with a slash at the end: a folder.
        uri = uri if is_file else f"{uri.rstrip('/')}/"
        found[one] = {"uri": uri, "type": "UriFile" if is_file else "UriFolder", "legacyDatasetType": None}
    return {"values": found}


def _place(state_folder: Path, workspace: Workspace, asset: str, kind: str) -> Place | None:
    default = _DEFAULT.match(asset)
    if default is not None:
        job = workspace.find_job(default["job"])
        return job_place(state_folder, workspace, job.name) if job is not None else None
    try:
        return find_place(state_folder, workspace, asset, kind=kind)
    except AssetPathError:
        return None


def _id(workspace: Workspace, kind: str, name: str, version: str) -> str:
    home = f"azureml://locations/{workspace.location}/workspaces/{workspace.workspace_id}"
    return f"{home}/{kind}/{name}/versions/{version}"
