"""Mutants of what follows a job to its end, and says what that means for its step."""

from __future__ import annotations

from typing import Any

from tests.chaos.mutants.mutant import Mutant, nothing, put
from tests.chaos.schedule import PlannedStep


def _give_up_at_once() -> None:
    from zenml_azureml.azure.jobs.watch import Watch

    put(Watch, "_is_permanent", lambda _self, _error: True)


def _conclude_nothing() -> None:
    from zenml_azureml.lifecycle import publisher

    put(publisher, "reason_of_failure", nothing)


def _take_a_cancel_for_success() -> None:
    from zenml.enums import ExecutionStatus

    from zenml_azureml.azure.jobs.status import JobPhase
    from zenml_azureml.lifecycle import outcome

    outcome._STATUS_BY_PHASE[JobPhase.CANCELED] = ExecutionStatus.COMPLETED
    _conclude_nothing()


def _take_a_failure_for_success() -> None:
    from zenml.enums import ExecutionStatus

    from zenml_azureml.azure.jobs.status import JobPhase
    from zenml_azureml.lifecycle import outcome

    outcome._STATUS_BY_PHASE[JobPhase.FAILED] = ExecutionStatus.COMPLETED
    _conclude_nothing()


def _publish_no_failure() -> None:
    from zenml_azureml.run_store import step_runs

    put(step_runs, "publish_failure", nothing)


def _name_no_job() -> None:
    from zenml_azureml.exceptions import AzureMLError
    from zenml_azureml.run_store import step_runs

    original = step_runs._information_on
    put(step_runs, "_information_on", lambda _error: original(AzureMLError("The step failed.")))


_FAILS: dict[str, Any] = {"steps": (PlannedStep("step0", 1, 2, exit_code=1),)}
_FAULTS = (("job GET", "429"), ("job GET", "503"))

MUTANTS = (
    Mutant("gives up at once", _give_up_at_once, "outcome", _FAULTS, "static", {"held": False}),
    Mutant("no conclusion", _conclude_nothing, "causes", _FAULTS, "static", _FAILS),
    Mutant(
        "a cancel is a success",
        _take_a_cancel_for_success,
        "statuses",
        (("job GET", "cancelled in Studio"), ("log", "cancelled in Studio")),
        "static",
        {"faults": ()},
    ),
    Mutant("a failure is a success", _take_a_failure_for_success, "outcome", _FAULTS, "static", _FAILS),
    Mutant("no failure published", _publish_no_failure, "causes", _FAULTS, "static", _FAILS),
    Mutant("no job named", _name_no_job, "causes", _FAULTS, "static", _FAILS),
)
