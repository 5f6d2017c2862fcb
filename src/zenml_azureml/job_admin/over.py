"""Decides if the job of an unfinished step run is still needed, by the state of its run. Pure.

The status of a dynamic run is what its runner reports. That of a static run follows from its steps: in ZenML's default
mode it is `failed` as soon as one step has failed, while the others rightly keep running.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from zenml.enums import ExecutionMode, ExecutionStatus

#: A step run that is being stopped, and one that another step run has replaced.
_STEP_RUN_IS_OVER = frozenset(
    {
        ExecutionStatus.RETRIED,
        ExecutionStatus.STOPPING,
        ExecutionStatus.STOPPED,
        ExecutionStatus.CANCELLING,
        ExecutionStatus.CANCELLED,
    }
)


@dataclass(frozen=True)
class RunFacts:
    """Facts about a run.

    Attributes:
        status: Its status.
        stopped: Reason why it is stopped, as a sentence without its full stop; empty if neither it nor a parent run is.
        dynamic: True if it is the run of a dynamic pipeline.
        mode: Its execution mode.
        has_failed_step: True if one of its step runs has failed. Used only if the run has failed.
        ended_at: When a static run failed; None if it did not, or the time is unknown.
    """

    status: ExecutionStatus
    stopped: str
    dynamic: bool
    mode: ExecutionMode
    has_failed_step: bool
    ended_at: datetime | None = None


def why_step_run_is_over(status: ExecutionStatus) -> str:
    """Return the reason why a step run needs no job by its own status, as a phrase; empty if its status gives none."""
    return f"its step run is {status.value}" if status in _STEP_RUN_IS_OVER else ""


def why_run_is_over(run: RunFacts, step_started: datetime | None = None) -> str:
    """Return the reason why an unfinished step run needs no job by its run, as a phrase; empty if it may need one.

    Args:
        run: The run.
        step_started: When the step run started; None if unknown.
    """
    if run.stopped or not run.status.is_finished:
        return run.stopped
    if run.dynamic:
        return f"its run is {run.status.value}"
    # ZenML accepts the step run of a restarted orchestrator in a run that its client has failed.
    restarted = run.ended_at is not None and step_started is not None and step_started > run.ended_at
    if run.status is not ExecutionStatus.FAILED or restarted:
        return ""
    if run.mode is ExecutionMode.FAIL_FAST:
        return "its run is failed"
    # Without a failed step, the run was ended from outside, by an interrupted client.
    return "" if run.has_failed_step else "its run is failed, although none of its steps is"
