"""The checkpoint folder, from which a step resumes after a preemption or a retry. Standard library only."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

#: Name of the job's output for the folder.
OUTPUT = "checkpoints"

#: Environment variable in which Azure ML passes the path of this output to the job.
#: Source: scripts of users that read `AZURE_ML_OUTPUT_<name of the output>`, some in upper case.
_OUTPUT_VARIABLE = f"AZURE_ML_OUTPUT_{OUTPUT}"

#: Set in every job of Azure ML.
_IN_A_JOB = "AZUREML_RUN_ID"

#: Environment variable with the path of the folder outside of a job.
LOCAL_VARIABLE = "ZENML_AZUREML_CHECKPOINT_DIR"


def checkpoint_dir() -> Path:
    """Return the folder for the checkpoints of a step; it exists.

    In a job, the folder is in the workspace's storage. All jobs of the step find the files of the jobs before them:
    after a preemption, on another fallback target, and in ZenML's own retries. If the step runs on your machine, it is
    the folder in the environment variable ZENML_AZUREML_CHECKPOINT_DIR, or else an empty temporary folder, the same for
    the whole process.

    Raises:
        RuntimeError: In a job without such a folder, since files elsewhere would be lost with the node.
    """
    path = _in_job()
    if path is None and _IN_A_JOB in os.environ:
        raise RuntimeError(
            "This Azure ML job has no checkpoint folder. Set `checkpoints=True` in the step's "
            "`AzureMLStepOperatorSettings`. It is the default with a `fallback` and with spot or low-priority capacity."
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
        f"Not in an Azure ML job: checkpoints are saved in {folder}, for this process only. To keep them, set "
        f"{LOCAL_VARIABLE} to a folder.",
        stacklevel=3,
    )
    return folder
