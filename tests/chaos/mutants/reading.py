"""Mutants of what keeps the data of a run the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.chaos.catalogue import DATA, DATA_ASSET
from tests.chaos.mutants.mutant import Mutant, put


def _resolve_labels_for_each_job() -> None:
    from zenml_azureml.lifecycle.step_data import StepData

    put(StepData, "_of_run", lambda *_arguments: {})
    put(StepData, "_versions", staticmethod(lambda *_arguments: {}))


def _forget_what_labels_meant() -> None:
    from zenml_azureml.run_store import run_data

    put(run_data, "saved_versions", lambda _run: {})


def _submit_although_the_data_is_not_found() -> None:
    from zenml_azureml.exceptions import AzureMLError
    from zenml_azureml.lifecycle.step_data import PreparedData, StepData

    original = StepData.prepare

    class Unchecked(PreparedData):
        def lineage(self, job_url: str) -> dict[str, Any]:
            return {}

    def prepare(self: Any, step: Any, workspace: Any, requested: Any, resolution: Any, check: Any) -> PreparedData:
        try:
            return original(self, step, workspace, requested, resolution, check)
        except AzureMLError:
            inputs = tuple(replace(one, path=f"azureml:{DATA_ASSET}:1") for one in resolution.options.inputs)
            return Unchecked(replace(resolution, options=replace(resolution.options, inputs=inputs)))

    put(StepData, "prepare", prepare)


_ANOTHER = ((f"{DATA}job GET", "new version"),)

MUTANTS = (
    Mutant("a label for each job", _resolve_labels_for_each_job, "data", _ANOTHER, "retries"),
    Mutant("a label after a kill", _forget_what_labels_meant, "data", ((f"{DATA}job GET", "restarted"),), "retries"),
    Mutant("data not found", _submit_although_the_data_is_not_found, "data", ((f"{DATA}datastore", "404"),), "static"),
)
