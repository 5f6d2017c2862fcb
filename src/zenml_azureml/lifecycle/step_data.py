"""The data of steps on Azure: found and checked before a job is built, and the same for all steps of a run."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.logger import get_logger

from zenml_azureml.lifecycle.lineage import inputs_as_metadata, outputs_as_metadata
from zenml_azureml.lifecycle.recent import Recent
from zenml_azureml.run_store import run_data
from zenml_azureml.run_store.server_retries import Check
from zenml_azureml.settings.plan import Resolution
from zenml_azureml.specs.data import AssetReference, asset_reference
from zenml_azureml.specs.job import JobOptions

if TYPE_CHECKING:
    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.data.assets import FoundAsset
    from zenml_azureml.azure.data.lookup import FoundData
    from zenml_azureml.lifecycle.execution import StepExecution

logger = get_logger(__name__)

#: Number of runs whose data assets are kept in memory. Those of earlier runs are looked up again.
_RUNS = 64


@dataclass(frozen=True)
class PreparedData:
    """The data of a step's next job.

    Attributes:
        resolution: The settings, in which each data asset has a version.
        requested: The options in the settings, with references to secrets.
        assets: The data assets among its inputs, by the names of the inputs.
    """

    resolution: Resolution
    requested: JobOptions = field(default_factory=JobOptions)
    assets: Mapping[str, FoundAsset] = field(default_factory=dict)

    def lineage(self, job_url: str) -> dict[str, Any]:
        """Return the metadata of the step; empty without data.

        Args:
            job_url: The job's page in Studio.
        """
        return {
            **inputs_as_metadata(self.requested.inputs, self.resolution.options.inputs, self.assets, job_url),
            **outputs_as_metadata(self.requested.outputs, {}, job_url),
        }


class StepData:
    """The data of one operator's steps.

    Thread-safe: a lock guards the assets of runs, and is held while labels are resolved, so that each is resolved once.

    Args:
        component_id: Id of the operator on ZenML's server.
    """

    def __init__(self, component_id: UUID) -> None:
        self._component_id = component_id
        self._lock = threading.Lock()
        self._found: Recent[tuple[UUID, str], dict[AssetReference, FoundAsset]] = Recent(_RUNS)

    def prepare(
        self, step: StepExecution, workspace: Workspace, requested: JobOptions, resolution: Resolution, check: Check
    ) -> PreparedData:
        """Find the data of a step's next job, and check that the job can use it. No request for a step without data.

        Args:
            step: The step.
            workspace: The workspace of the job.
            requested: The options in the settings, with references to secrets.
            resolution: The resolved settings of the target, with the values of secrets.
            check: Ends the submission by raising.

        Raises:
            AzureMLError: If data does not exist, or the job may not use it.
        """
        options = resolution.options
        if not options.inputs and not options.outputs:
            return PreparedData(resolution)
        references = {asset_reference(one.path) for one in options.inputs}

        def look_up(versions: Mapping[AssetReference, str]) -> FoundData:
            found = workspace.retrying(
                "look up the data of the job",
                lambda: workspace.data.find(options, resolution.compute, dict(known), versions),
                patience=step.plan.unreachable_timeout,
                check=check,
            )
            for one in options.inputs:
                reference = asset_reference(one.path)
                if reference is not None:
                    known[reference] = found.assets[one.name]
            return found

        with self._lock:
            known = self._of_run(step.run_id, workspace)
            labels = {each for each in references if each is not None and each.label and each not in known}
            found = look_up(self._versions(step, workspace)) if labels else None
            if labels:
                self._save(step, workspace, labels, known)
        found = found or look_up({})
        return PreparedData(replace(resolution, options=found.options), requested, found.assets)

    def _of_run(self, run_id: UUID, workspace: Workspace) -> dict[AssetReference, FoundAsset]:
        key = (run_id, workspace.address.path)
        known = self._found[key] = self._found.get(key, {})
        return known

    @staticmethod
    def _versions(step: StepExecution, workspace: Workspace) -> dict[AssetReference, str]:
        """Return the versions that another process of the run, or a step that was retried, has resolved labels to."""
        home = f"{workspace.address.name}/"
        versions = {}
        for key, version in run_data.saved_versions(step.run_id).items():
            reference = asset_reference(f"azureml:{key.removeprefix(home)}")
            if key.startswith(home) and reference is not None:
                versions[reference] = version
        return versions

    def _save(
        self,
        step: StepExecution,
        workspace: Workspace,
        labels: set[AssetReference],
        known: Mapping[AssetReference, FoundAsset],
    ) -> None:
        for each in labels:
            logger.info("The data asset `%s@%s` has the version %s.", each.name, each.label, known[each].version)
        versions = {f"{workspace.address.name}/{each.name}@{each.label}": known[each].version for each in labels}
        run_data.save_versions(step.run_id, self._component_id, versions)
