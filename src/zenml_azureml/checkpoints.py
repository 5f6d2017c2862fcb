"""A folder for what a step goes on from when its job was preempted or moved. Standard library only."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

#: Name of the job's output that the folder is.
OUTPUT = "checkpoints"

#: Azure ML tells a job the path of each of its outputs in a variable of this name.
#: Source: scripts of users that read `AZURE_ML_OUTPUT_<name of the output>`, some in upper case.
_OUTPUT_VARIABLE = f"AZURE_ML_OUTPUT_{OUTPUT}"

#: Set in every job of Azure ML.
_IN_A_JOB = "AZUREML_RUN_ID"

#: Where the folder is outside of a job.
LOCAL_VARIABLE = "ZENML_AZUREML_CHECKPOINT_DIR"


def checkpoint_dir() -> Path:
    """The folder in which a step saves what it goes on from; it exists.

    In a job it is kept by the workspace's storage, and all jobs of the step find what the ones before have saved: those
    after a preemption, those at another place, and those of ZenML's own retries. Outside of a job, where the step runs
    on your machine, it is the folder that the environment variable ZENML_AZUREML_CHECKPOINT_DIR names, or else an empty
    temporary one, the same for the whole process.

    Raises:
        RuntimeError: In a job that has no such folder: what it saved elsewhere would be lost with its node.
    """
    path = _in_job()
    if path is None and _IN_A_JOB in os.environ:
        raise RuntimeError(
            "This Azure ML job has no checkpoint folder. Set `checkpoints=True` in the step's "
            "`AzureMLStepOperatorSettings`; a `fallback` and spot or low-priority capacity bring one too."
        )
    folder = Path(path or os.environ.get(LOCAL_VARIABLE) or _temporary())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _in_job() -> str | None:
    for name, value in os.environ.items():
        if name.lower() == _OUTPUT_VARIABLE.lower() and value:
            return value
    return None


@lru_cache
def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="zenml-azureml-checkpoints-")
    warnings.warn(
        f"Not in an Azure ML job: checkpoints are saved in {folder}, for this process alone. {LOCAL_VARIABLE} names a "
        "folder to keep.",
        stacklevel=3,
    )
    return folder
