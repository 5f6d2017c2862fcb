"""The paths of a step's inputs and outputs on Azure, in a job and on your machine. Standard library only."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Literal

_Kind = Literal["input", "output"]

#: Prefixes of the environment variables in which Azure ML passes the paths to every process of the job.
#: Source: scripts of users that read `AZURE_ML_INPUT_<name>` and `AZURE_ML_OUTPUT_<name>`, some in upper case.
# Guess: an input or output of the mode `direct` has its address in the same variable.
# `make live`: test_data_that_a_step_writes_and_another_one_reads, of an input.
_VARIABLES = {"input": "AZURE_ML_INPUT_", "output": "AZURE_ML_OUTPUT_"}

#: Set in every job of Azure ML.
_IN_A_JOB = "AZUREML_RUN_ID"

#: Environment variables with the folders of inputs and outputs outside of a job. Each has its name in that folder.
LOCAL_INPUTS = "ZENML_AZUREML_INPUT_DIR"
LOCAL_OUTPUTS = "ZENML_AZUREML_OUTPUT_DIR"


def input_path(name: str) -> Path:
    """Return the path of an input of the step: a folder, or a file for the type `uri_file`.

    In a job, Azure ML mounts or downloads the input, on each node. If the step runs on your machine, it is the file or
    folder of that name in the folder that the environment variable ZENML_AZUREML_INPUT_DIR names.

    Args:
        name: Name of the input in the step's settings.

    Raises:
        RuntimeError: If the step has no such input, the input is not mounted or downloaded (the mode `direct`), or,
            outside of a job, the variable is not set or the input does not exist.
    """
    value = _in_job("input", name)
    if value is not None:
        return _path("input", name, value)
    folder = os.environ.get(LOCAL_INPUTS)
    if not folder:
        raise RuntimeError(
            f"Not in an Azure ML job: there is no input `{name}`. Set {LOCAL_INPUTS} to a folder that has a file or "
            f"folder named `{name}`."
        )
    path = _child(folder, name)
    if not path.exists():
        raise RuntimeError(f"Not in an Azure ML job, and the input `{name}` does not exist: {path} ({LOCAL_INPUTS}).")
    return path


def output_path(name: str, *, is_file: bool = False) -> Path:
    """Return the path to write an output of the step to: a folder that exists, or a file for the type `uri_file`.

    In a job, Azure ML keeps what is written there. If the step runs on your machine, it is the path of that name in the
    folder that the environment variable ZENML_AZUREML_OUTPUT_DIR names, or else in a temporary folder, the same for the
    whole process.

    Args:
        name: Name of the output in the step's settings.
        is_file: True for an output of the type `uri_file`: outside of a job only the folder around it is created.

    Raises:
        RuntimeError: If the job has no such output, since files elsewhere would be lost with the node; or if it is not
            mounted or uploaded (the mode `direct`).
    """
    value = _in_job("output", name)
    if value is not None:
        path = _path("output", name, value)
        path.parent.mkdir(parents=True, exist_ok=True)  # Azure ML creates the folder itself
        return path
    path = _child(os.environ.get(LOCAL_OUTPUTS) or _temporary(), name)
    (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)
    return path


def input_uri(name: str) -> str:
    """Return the address of an input of the mode `direct`, e.g. `azureml://...`, which libraries for storage can open.

    Args:
        name: Name of the input in the step's settings.

    Raises:
        RuntimeError: If the step has no such input, or it is mounted or downloaded; outside of a job always.
    """
    return _uri("input", name)


def output_uri(name: str) -> str:
    """Return the address of an output of the mode `direct`, to which the step writes itself.

    Args:
        name: Name of the output in the step's settings.

    Raises:
        RuntimeError: If the step has no such output, or it is mounted or uploaded; outside of a job always.
    """
    return _uri("output", name)


def _uri(kind: _Kind, name: str) -> str:
    value = _in_job(kind, name)
    if value is None:
        raise RuntimeError(f"Not in an Azure ML job: the {kind} `{name}` has no address here.")
    if "://" not in value:
        raise RuntimeError(
            f"The {kind} `{name}` is a path of this job, and its mode is not `direct`. "
            f'Use `zenml_azureml.{kind}_path("{name}")`.'
        )
    return value


def _path(kind: _Kind, name: str, value: str) -> Path:
    if "://" in value:
        raise RuntimeError(
            f"The {kind} `{name}` has the mode `direct`, so it has an address and no path. "
            f'Use `zenml_azureml.{kind}_uri("{name}")`, or another mode.'
        )
    return Path(value)


def _in_job(kind: _Kind, name: str) -> str | None:
    """Return the value of the variable for an input or output; None outside of a job.

    Raises:
        RuntimeError: If the job has no such input or output.
    """
    prefix = _VARIABLES[kind].lower()
    found = {variable.lower()[len(prefix) :]: value for variable, value in _variables_with(prefix)}
    if name.lower() in found:
        return found[name.lower()]
    if _IN_A_JOB not in os.environ:
        return None
    others = ", ".join(f"`{other}`" for other in sorted(found)) or "none"
    raise RuntimeError(
        f"This Azure ML job has no {kind} `{name}`. Set `{kind}s` in the step's `AzureMLStepOperatorSettings`. "
        f"The job's {kind}s: {others}."
    )


def _variables_with(prefix: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in os.environ.items() if name.lower().startswith(prefix) and value]


def _child(folder: str, name: str) -> Path:
    if not name.isidentifier():
        raise RuntimeError(f"`{name}` is not the name of an input or output: letters, digits and underscores.")
    return Path(folder) / name


@lru_cache
def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="zenml-azureml-outputs-")
    warnings.warn(
        f"Not in an Azure ML job: outputs are written to {folder}. To write them elsewhere, set {LOCAL_OUTPUTS} to a "
        "folder.",
        stacklevel=3,
    )
    return folder
