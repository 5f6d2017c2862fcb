"""Whether the job of an unfinished step run is still needed, by the state of its run. Pure.

The status of a dynamic run is what its runner reports. That of a static run follows from its steps: in ZenML's default
mode it is `failed` as soon as one step has failed, while the others rightly keep running.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """What is known of a run.

    Attributes:
        status: Its status.
        stopped: Why it is stopped, as a sentence without its full stop; empty if neither it nor a parent run is.
        dynamic: True if it is the run of a dynamic pipeline.
        mode: Its execution mode.
        has_failed_step: True if one of its step runs has failed. Of no interest unless the run has.
    """

    status: ExecutionStatus
    stopped: str
    dynamic: bool
    mode: ExecutionMode
    has_failed_step: bool


def why_step_run_is_over(status: ExecutionStatus) -> str:
    """The reason why a step run needs no job by its own status, as a phrase; empty if its status gives none."""
    return f"its step run is {status.value}" if status in _STEP_RUN_IS_OVER else ""


def why_run_is_over(run: RunFacts) -> str:
    """The reason why no unfinished step run of a run needs its job, as a phrase; empty if they may need them."""
    if run.stopped:
        return run.stopped
    if not run.status.is_finished:
        return ""
    if run.dynamic:
        return f"its run is {run.status.value}"
    if run.status is ExecutionStatus.FAILED:
        if run.mode is ExecutionMode.FAIL_FAST:
            return "its run is failed"
        if not run.has_failed_step:
            return "its run is failed, although none of its steps is"  # from outside: its client was interrupted
    return ""
