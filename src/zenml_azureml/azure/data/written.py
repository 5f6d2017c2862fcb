"""The data that a job has written, with the versions that Azure ML has given its outputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import AzureError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.data.assets import FoundAsset, find_asset
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.safe_text import safe_name
from zenml_azureml.specs.data import AssetReference

#: Id of a data asset in run history (recorded: history_rundata_failed_command.json).
_ASSET_ID = re.compile(r"azureml://.*/data/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE)


def written_data(connection: WorkspaceConnection, job_name: str, outputs: Iterable[str]) -> dict[str, FoundAsset]:
    """Return the data assets that outputs of a job have become. One request, and one for each of them.

    Args:
        connection: The workspace.
        job_name: The job, which has succeeded.
        outputs: Names of its outputs.

    Returns:
        The assets by the names of the outputs; without outputs that Azure ML has not registered.

    Raises:
        AzureMLError: If Azure ML refuses.
        AzureError: If Azure ML cannot be reached.
    """
    try:
        with connection.reading():
            # Guess: the run has the `outputs` that were recorded of the same run in `rundata`.
            # `make live`: test_data_that_a_step_writes_and_another_one_reads.
            run = connection.get_json(f"{connection.run_history_url}/runs/{quote(job_name, safe='')}")
            references = references_in(run, outputs)
    except AzureError as error:
        raise to_azureml_error(f"read the outputs of the job `{job_name}`", error, connection.address) from error
    return {name: find_asset(connection, reference, f"outputs['{name}']") for name, reference in references.items()}


def references_in(run: Mapping[str, Any], outputs: Iterable[str]) -> dict[str, AssetReference]:
    """Return the data assets in an answer of run history, by the names of the outputs.

    Args:
        run: Its JSON.
        outputs: Names of the outputs to return.
    """
    of_run = run.get("outputs") or {}
    found = {name: _ASSET_ID.fullmatch(str((of_run.get(name) or {}).get("assetId"))) for name in outputs}
    return {
        name: AssetReference(safe_name(match["name"]), safe_name(match["version"]))
        for name, match in found.items()
        if match is not None
    }
