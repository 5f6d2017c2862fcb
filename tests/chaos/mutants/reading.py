"""Mutants of what keeps the data of a run the same."""

from __future__ import annotations

from typing import Any

from tests.chaos.catalogue import DATA
from tests.chaos.mutants.mutant import Mutant, put


def _resolve_labels_for_each_job() -> None:
    from zenml_azureml.lifecycle.step_data import StepData

    put(StepData, "_of_run", lambda *_arguments: {})
    put(StepData, "_versions", staticmethod(lambda *_arguments: {}))


def _forget_what_labels_meant() -> None:
    from zenml_azureml.run_store import run_data

    put(run_data, "saved_versions", lambda _run: {})


def _submit_without_a_look_at_the_data() -> None:
    from zenml_azureml.lifecycle.step_data import PreparedData, StepData

    def prepare(_self: Any, _step: Any, _workspace: Any, _requested: Any, resolution: Any, _check: Any) -> PreparedData:
        return PreparedData(resolution)

    put(StepData, "prepare", prepare)


_ANOTHER = ((f"{DATA}job GET", "new version"),)

MUTANTS = (
    Mutant("a label for each job", _resolve_labels_for_each_job, "data", _ANOTHER, "retries"),
    Mutant("a label after a kill", _forget_what_labels_meant, "data", ((f"{DATA}job GET", "restarted"),), "retries"),
    Mutant("data not looked at", _submit_without_a_look_at_the_data, "data", _ANOTHER, "retries"),
)
