"""The environment variables that a job needs to check by itself if its step is over, and to sample its use."""

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

#: Longest chain of nested runs; a longer one must be a circle.
_DEEPEST = 20


def run_mode_of(snapshot: PipelineSnapshotBase | PipelineSnapshotResponse) -> str:
    """Return `dynamic`, or the execution mode of a static run; empty if this version of ZenML does not name it."""
    if snapshot.is_dynamic:
        return DYNAMIC
    mode = getattr(snapshot.pipeline_configuration, "execution_mode", None)
    return str(getattr(mode, "value", mode) or "")


def run_mode_for(info: StepRunInfo) -> str:
    """Return the mode of the run of a step; `in_failed_run` for a step of a static run that has failed.

    For a step run after the first one of its step, this makes one request to the server: its orchestrator may have been
    restarted after the run had failed, and the server accepts the step run nevertheless.

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
    """Return the variables of a job that checks if its step is over; empty without checks or without a server.

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


def sampling_variables(step_run_id: str, options: JobOptions) -> dict[str, str]:
    """Return the variables of a job that samples the use of its nodes; empty without sampling.

    Args:
        step_run_id: Id of the step run, to whose metadata the job posts.
        options: Options of the job.
    """
    if not options.sampling:
        return {}
    shared = {variables.SHARED_NODE: "1"} if options.has_ranks else {}
    return {variables.SAMPLING: "1", variables.STEP_RUN_ID: step_run_id, **shared}


@lru_cache(maxsize=16)
def _parents_of(run_id: str) -> tuple[str, ...]:
    """Return the ids of a run's parent, its parent and so on. One request per run; nested runs take more."""
    try:
        run = Client().get_pipeline_run(UUID(run_id), hydrate=False)
        if getattr(run.get_body(), "root_run_id", None) is None:
            return ()
        found: list[str] = []
        while (parent := _parent_of(run)) is not None and len(found) < _DEEPEST:
            found.append(str(parent.id))
            run = parent
    except Exception as error:  # noqa: BLE001 - a job runs without them too
        logger.debug("The parents of the run %s are unknown: %s", run_id, error)
        return ()
    return tuple(found)


def _parent_of(run: PipelineRunResponse) -> PipelineRunResponse | None:
    return getattr(Client().get_pipeline_run(run.id).get_resources(), "parent_run", None)
