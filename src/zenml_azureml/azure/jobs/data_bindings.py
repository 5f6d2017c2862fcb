"""Inputs and outputs of jobs, as the SDK's command jobs have them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from azure.ai.ml import Input, Output

from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.specs.data import DataInput, DataOutput

_ID_PREFIX = re.compile(r"azureml:/(?!/)", re.IGNORECASE)

#: The type of inputs without one, as the SDK has it.
DEFAULT_TYPE = "uri_folder"


def inputs_of(inputs: Iterable[DataInput]) -> dict[str, Input] | None:
    """Return the inputs of a job; None if it has none."""
    return {
        # The SDK takes an ARM id only without its prefix.
        one.name: Input(type=one.type or DEFAULT_TYPE, path=_ID_PREFIX.sub("/", one.path), mode=one.mode)
        for one in inputs
    } or None


def outputs_of(outputs: Iterable[DataOutput], checkpoints: str | None) -> dict[str, Output] | None:
    """Return the outputs of a job; None if it has none.

    Args:
        outputs: Those of its settings.
        checkpoints: Address of its checkpoint folder; None for none.
    """
    found = {
        # Guess: the service gives an asset without a version the next one, as the SDK's documentation of `Output` says.
        # `make live`: test_data_that_a_step_writes_and_another_one_reads.
        one.name: Output(type=one.type, path=one.path, mode=one.mode, name=one.register_as)
        for one in outputs
    }
    if checkpoints:
        # Mounted: what the step writes is in the storage at once, and outlives the node.
        found[OUTPUT] = Output(type="uri_folder", mode="rw_mount", path=checkpoints)
    return found or None
