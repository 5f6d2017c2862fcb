"""The entrypoint of a step whose job is held if the step's function fails. It does all the rest as ZenML's own does.

Private members of ZenML: `_run_step` of the entrypoint class, as in `ranked_step`.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from zenml import log_metadata
from zenml.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration
from zenml.steps import BaseStep

from zenml_azureml.contract.hold import HELD_UNTIL, hold_time
from zenml_azureml.in_job.hold import FailureHold
from zenml_azureml.in_job.rerun import FailedCall

if TYPE_CHECKING:
    from zenml.config.step_configurations import Step
    from zenml.models import PipelineSnapshotResponse


def announce(until: datetime) -> None:
    """Save the end of the hold as metadata of the step run, from within the step."""
    log_metadata({HELD_UNTIL: until.isoformat(timespec="seconds")})


class HoldingEntrypointConfiguration(StepOperatorEntrypointConfiguration):
    """Runs a step, and holds its job if the function fails."""

    def _run_step(self, step: Step, snapshot: PipelineSnapshotResponse) -> None:
        failed = FailedCall(step.spec.source.import_path, os.environ)
        hold = FailureHold(hold_time(os.environ), announce, failed.kept)
        call = BaseStep.call_entrypoint

        def noted(instance: BaseStep, *args: Any, **kwargs: Any) -> Any:
            failed.note(args, kwargs)
            with hold.noting():
                return call(instance, *args, **kwargs)

        BaseStep.call_entrypoint = noted  # type: ignore[assignment,method-assign]  # this process runs no other step
        with hold.after_report():
            super()._run_step(step, snapshot)
