"""The environment variables with which a job checks by itself whether its step is over."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger

from zenml_azureml.contract import variables
from zenml_azureml.contract.variables import DYNAMIC, IN_FAILED_RUN, is_rest

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineRunResponse, PipelineSnapshotBase, PipelineSnapshotResponse

    from zenml_azureml.specs.job import JobOptions

logger = get_logger(__name__)

#: Runs may be nested; a chain that is longer has a circle.
_DEEPEST = 20


def run_mode_of(snapshot: PipelineSnapshotBase | PipelineSnapshotResponse) -> str:
    """`dynamic`, or the execution mode of a static run; empty if this version of ZenML does not name it."""
    if snapshot.is_dynamic:
        return DYNAMIC
    mode = getattr(snapshot.pipeline_configuration, "execution_mode", None)
    return str(getattr(mode, "value", mode) or "")


def run_mode_for(info: StepRunInfo) -> str:
    """The mode of the run that a step is submitted in; `in_failed_run` for a step of a static run that has failed.

    A step run after the first one of its step costs one request to the server: its orchestrator may have been restarted
    after the run was failed, and the server has accepted the step run all the same.

    Args:
        info: The step run.
    """
    mode = run_mode_of(info.snapshot)
    if mode == DYNAMIC or info.step_run.version == 1:
        return mode
    try:
        status = Client().get_pipeline_run(info.run_id, hydrate=False).status
    except Exception as error:  # noqa: BLE001 - then the job keeps running: the cases cannot be distinguished
        logger.debug("The status of the run %s is unknown: %s", info.run_id, error)
        return IN_FAILED_RUN
    return IN_FAILED_RUN if status is ExecutionStatus.FAILED else mode


def stop_variables(
    step_run_id: str, run_id: str, run_mode: str, environment: Mapping[str, str], options: JobOptions
) -> dict[str, str]:
    """The variables of a job that checks whether its step is over; none if it is not to, or has no server to ask.

    Args:
        step_run_id: Id of the step run.
        run_id: Id of its run.
        run_mode: As `run_mode_of` returns it.
        environment: Environment variables of the job.
        options: Options of the job.
    """
    if options.stop_check_seconds <= 0 or not is_rest(environment):
        return {}
    wanted = {
        variables.STOP_CHECK_SECONDS: f"{options.stop_check_seconds:g}",
        variables.STEP_RUN_ID: step_run_id,
        variables.RUN_ID: run_id,
        variables.RUN_MODE: run_mode,
        variables.PARENT_RUN_IDS: ",".join(_parents_of(run_id)),
        variables.SHARED_NODE: "1" if options.has_ranks else "",
    }
    return {name: value for name, value in wanted.items() if value}


@lru_cache(maxsize=16)
def _parents_of(run_id: str) -> tuple[str, ...]:
    """The ids of a run's parent, of that one's parent and so on. One request per run; nested runs take more."""
    try:
        run = Client().get_pipeline_run(UUID(run_id), hydrate=False)
        if getattr(run.get_body(), "root_run_id", None) is None:
            return ()
        found: list[str] = []
        while (parent := _parent_of(run)) is not None and len(found) < _DEEPEST:
            found.append(str(parent.id))
            run = parent
    except Exception as error:  # noqa: BLE001 - a job that does not know them runs all the same
        logger.debug("The parents of the run %s are unknown: %s", run_id, error)
        return ()
    return tuple(found)


def _parent_of(run: PipelineRunResponse) -> PipelineRunResponse | None:
    return getattr(Client().get_pipeline_run(run.id).get_resources(), "parent_run", None)
