"""Versions of data assets that a run uses: what a label meant is saved with the run, for all of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from zenml.client import Client
from zenml.enums import MetadataResourceTypes
from zenml.models import RunMetadataResource

from zenml_azureml.run_store.server_retries import ask

#: Beginning of the keys of the run's metadata with a version; the rest is `WORKSPACE/ASSET@LABEL`.
PREFIX = "azureml_data/"


def saved_versions(run_id: UUID) -> dict[str, str]:
    """Return the versions that labels of data assets stand for in a run, by `WORKSPACE/ASSET@LABEL`.

    Args:
        run_id: The run.
    """
    metadata = ask("looking up the data of a run", lambda: Client().get_pipeline_run(run_id).run_metadata)
    return {key.removeprefix(PREFIX): str(value) for key, value in metadata.items() if key.startswith(PREFIX)}


def save_versions(run_id: UUID, component_id: UUID, versions: Mapping[str, str]) -> None:
    """Save the versions that labels of data assets stand for in a run.

    Args:
        run_id: The run.
        component_id: The step operator.
        versions: The versions by `WORKSPACE/ASSET@LABEL`.
    """
    resource = RunMetadataResource(id=run_id, type=MetadataResourceTypes.PIPELINE_RUN)
    metadata = {f"{PREFIX}{key}": version for key, version in versions.items()}
    ask(
        "saving the data of a run",
        lambda: Client().create_run_metadata(
            metadata={**metadata}, resources=[resource], stack_component_id=component_id
        ),
    )
