"""Folders of a job on this machine, with the names that they have on Azure ML. Pure.

Users show paths such as `/mnt/azureml/cr/j/ID/exe/wd` and `/mnt/azureml/cr/j/ID/cap/data-capability/wd/INPUT_data` in
their logs and scripts (Azure/azure-sdk-for-python#36689, #31734).
"""

from __future__ import annotations

from pathlib import Path

#: Folders of the working directory whose files are the job's artifacts (MicrosoftDocs/azure-docs,
#: how-to-log-view-metrics.md).
ARTIFACT_FOLDERS = ("outputs", "logs")


def node_folder(root: Path, node: int) -> Path:
    """Return the folder of one node of a job; that of the first node is the job's own.

    Args:
        root: The job's folder.
        node: Number of the node, from 0.
    """
    return root if node == 0 else root / f"node_{node}"


def working_directory(folder: Path) -> Path:
    """Return the working directory of a job's command, in the folder of a node: what its code is copied to."""
    return folder / "exe" / "wd"


def data_folder(root: Path) -> Path:
    """Return the folder of a job's inputs and outputs, which its nodes share."""
    return root / "cap" / "data-capability" / "wd"
