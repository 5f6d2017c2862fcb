"""The entrypoint of a step whose job has several processes: each runs the step, the first one reports to ZenML.

ZenML lets a step operator choose the class of its entrypoint; the operator uses this one for such jobs only. On rank 0
it does the same as ZenML's own. On the others it loads the same inputs, calls the same function and drops the result.
ZenML's bookkeeping is skipped there: status, outputs, metadata, logs, heartbeat, hooks, experiment trackers.

Only this module uses private members of ZenML, because there is no public way to load a step's inputs or to choose the
folder of its code: `StepRunner._load_step` and `_parse_inputs`, and `_run_step` and `_load_active_artifact_store` of
the entrypoint classes. tests/unit/test_ranked_step.py fails if one of them changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.client import Client
from zenml.logger import get_logger
from zenml.orchestrators import input_utils
from zenml.orchestrators.step_runner import StepRunner
from zenml.step_operators.step_operator_entrypoint_configuration import (
    STEP_RUN_ID_OPTION,
    StepOperatorEntrypointConfiguration,
)
from zenml.steps import BaseStep
from zenml.steps.utils import get_resolved_signature
from zenml.utils import env_utils

from zenml_azureml.contract.hold import hold_time
from zenml_azureml.in_job.hold import FailureHold
from zenml_azureml.in_job.holding_step import announce
from zenml_azureml.in_job.rank import JOB_NAME, FailureReporter, rank_from_env
from zenml_azureml.in_job.rank_barrier import (
    folder_of,
    forget_failure,
    rank_zero_fails,
    remove_reports,
    report_end,
    report_failure,
    wait_for_others,
)
from zenml_azureml.in_job.rank_zero_only import disable_publishing
from zenml_azureml.in_job.rerun import FailedCall

if TYPE_CHECKING:
    from zenml.artifact_stores import BaseArtifactStore
    from zenml.config.step_configurations import Step
    from zenml.models import CodeReferenceResponse, PipelineSnapshotResponse, StepRunResponse

logger = get_logger(__name__)

#: Time by which the other ranks wait longer than rank 0 holds the job, whose end ends them.
_LONGER = timedelta(minutes=5)


class RankedEntrypointConfiguration(StepOperatorEntrypointConfiguration):
    """Runs a step on one of several ranks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rank = rank_from_env(os.environ)
        self._failures = FailureReporter(self._rank)
        self._hold_time = hold_time(os.environ)
        logger.info("This is %s", self._rank)

    @property
    def step_run(self) -> StepRunResponse:
        """The step run. In dynamic pipelines ZenML's own property also reports its start to the server: rank 0 only."""
        return super().step_run if self._rank.number == 0 else self._step_run_as_it_is

    @cached_property
    def _step_run_as_it_is(self) -> StepRunResponse:
        return Client().zen_store.get_run_step(UUID(self.entrypoint_args[STEP_RUN_ID_OPTION]))

    def download_code_from_code_repository(self, code_reference: CodeReferenceResponse) -> None:
        """Download the step's code to a folder of this process, because the processes of a node share theirs."""
        self._enter_own_folder()
        super().download_code_from_code_repository(code_reference)

    def _load_active_artifact_store(self) -> BaseArtifactStore:
        # Called right before the code from the store is extracted to the current folder.
        self._enter_own_folder()
        return super()._load_active_artifact_store()

    def _enter_own_folder(self) -> None:
        # The processes of a node share its `/app`: one would import files that another is still writing.
        if self._rank.number:
            own = Path(f"rank_{self._rank.number}")
            own.mkdir(exist_ok=True)
            os.chdir(own)

    def _run_step(self, step: Step, snapshot: PipelineSnapshotResponse) -> None:
        folder = folder_of(Client().active_stack.artifact_store.path, os.environ.get(JOB_NAME) or str(self.step_run.id))
        self._failed = FailedCall(step.spec.source.import_path, os.environ)
        hold = self._hold_in(folder)
        self._watch_function(folder, hold)
        if self._rank.number == 0:
            with self._reports_for_hold(folder), hold.after_report(), self._failures.watching():
                super()._run_step(step, snapshot)
        else:
            with hold.after_report(), hold.noting(), report_end(folder, self._rank), self._failures.watching():
                self._run_function(step)

    @contextmanager
    def _reports_for_hold(self, folder: str) -> Iterator[None]:
        """Keep the report of rank 0, which only a job with a hold has, for the length of a `with`."""
        if not self._hold_time:
            yield
            return
        forget_failure(folder, self._rank)
        try:
            yield
        finally:
            remove_reports(folder)

    def _hold_in(self, folder: str) -> FailureHold:
        """Return the hold of this process.

        If rank 0 holds the job, ranks that fail wait for it, because Azure ML ends a job whose ranks fail. A failure of
        another rank alone ends the job at once, because rank 0 would wait for that rank.
        """

        def tell_others(until: datetime) -> None:
            announce(until)
            report_failure(folder, self._rank)

        def wait_for_rank_zero(_until: datetime) -> None:
            if not rank_zero_fails(folder):
                raise RuntimeError("only the failure of rank 0 is held, and rank 0 has not failed.")

        if self._rank.number == 0:
            return FailureHold(self._hold_time, tell_others, self._failed.kept)
        return FailureHold(self._hold_time and self._hold_time + _LONGER, wait_for_rank_zero)

    def _watch_function(self, folder: str, hold: FailureHold) -> None:
        """Log a failure of the step's function at once: on rank 0, ZenML would first report it to the server.

        On rank 0 the function also returns only after the others have ended, because ZenML then reports that the step
        has completed.
        """
        call, failures, rank, failed = BaseStep.call_entrypoint, self._failures, self._rank, self._failed

        def watched(step: BaseStep, *args: Any, **kwargs: Any) -> Any:
            if rank.number:
                with failures.watching():
                    return call(step, *args, **kwargs)
            failed.note(args, kwargs)
            with hold.noting():
                with failures.watching():
                    returned = call(step, *args, **kwargs)
                wait_for_others(folder, rank)
                return returned

        BaseStep.call_entrypoint = watched  # type: ignore[assignment,method-assign]  # this process runs no other step

    def _run_function(self, step: Step) -> None:
        """Call the step's function with the inputs that rank 0 calls it with."""
        step_run = self.step_run
        disable_publishing(self._rank)  # before the user's modules are imported, which may import these functions
        pipeline_run = Client().get_pipeline_run(step_run.pipeline_run_id)
        input_utils.resolve_step_inputs(step=step, pipeline_run=pipeline_run)
        stack = Client().active_stack
        runner = StepRunner(step=step, stack=stack)
        instance = runner._load_step()
        inputs = runner._parse_inputs(
            signature=get_resolved_signature(instance.entrypoint), input_artifacts=step_run.inputs
        )
        environment = {
            **env_utils.get_runtime_environment(config=step_run.config, stack=stack),
            **env_utils.get_runtime_secret_environment(config=step_run.config, stack=stack),
        }
        with env_utils.temporary_environment(environment):
            instance.call_entrypoint(**inputs)
        logger.info("The step has returned on %s; only rank 0 stores its outputs", self._rank)
