"""The transitions of a step run: from a state and an event to the next state and the actions. Pure.

`scripts/draw_lifecycle.py` draws the diagram in docs/architecture.md from `TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from zenml_azureml.lifecycle.recovery import Limits, RetryReason, history, next_target, with_next
from zenml_azureml.lifecycle.state import (
    Action,
    CancelHadNoEffect,
    CancelRefused,
    Event,
    Failure,
    GiveUp,
    JobAccepted,
    JobEnded,
    JobHeld,
    JobLost,
    JobOver,
    JobQueued,
    JobRuns,
    NoCapacity,
    QueueTimedOut,
    StepPhase,
    StepState,
    StopRequested,
    SubmitFailed,
    SubmitStopped,
)

Condition = Callable[[StepState, Event, Limits], bool]

_P, _A = StepPhase, Action


def _always(_state: StepState, _event: Event, _limits: Limits) -> bool:
    return True


def has_target(state: StepState, event: Event, limits: Limits) -> bool:
    """True if another target is left for the step."""
    return target_after(state, event, limits) is not None


def may_resubmit(state: StepState, event: Event, limits: Limits) -> bool:
    """True if the job's end is a reason to resubmit the step, which has not reported its end, and a target is left."""
    return isinstance(event, JobEnded) and event.may_resubmit and has_target(state, event, limits)


def target_after(state: StepState, event: Event, limits: Limits) -> int | None:
    """Return the target to which a step is submitted after an event; None if there is none."""
    attempts, reason = state.attempts, state.attempt.reason
    if isinstance(event, NoCapacity):
        attempts, reason = with_next(attempts, event.attempt), RetryReason.NO_CAPACITY
    elif isinstance(event, QueueTimedOut):
        reason = RetryReason.QUEUE_TIMEOUT
    elif isinstance(event, JobEnded):
        attempts, reason = (*attempts[:-1], event.attempt), event.attempt.reason
    return None if reason is None else next_target(attempts, reason, limits)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        phases: The phases to which it applies.
        event: The kind of event.
        guard: The condition.
        next: The next phase; None for the one that the event names, or the same.
        actions: The actions, in order.
    """

    phases: tuple[StepPhase, ...]
    event: type[Event]
    guard: Condition = _always
    next: StepPhase | None = None
    actions: tuple[Action, ...] = ()


#: The job may be submitted again; in `SUBMITTING` if ZenML's server was unavailable in the middle of it.
_OPEN = (_P.SUBMITTING, _P.QUEUED, _P.RUNNING, _P.MOVING)

#: The step is submitted to another target.
_MOVES = (_P.SUBMITTING, _P.MOVING)

#: The first row that applies counts. An event without a row changes nothing.
TABLE = (
    Row((_P.CANCELLING,), JobAccepted, next=_P.CANCELLING, actions=(_A.END_JOB,)),
    Row((_P.SUBMITTING,), JobAccepted, next=_P.QUEUED),
    Row((_P.SUBMITTING,), NoCapacity, has_target, _P.SUBMITTING, (_A.SUBMIT,)),
    Row((_P.SUBMITTING,), NoCapacity, next=_P.FAILED, actions=(_A.FAIL,)),
    Row((_P.SUBMITTING,), SubmitFailed, next=_P.FAILED, actions=(_A.FAIL,)),
    Row((_P.SUBMITTING,), SubmitStopped, next=_P.STOPPED, actions=(_A.PUBLISH_STOPPED,)),
    Row((_P.SUBMITTING, _P.QUEUED), JobRuns, next=_P.RUNNING),
    Row((_P.SUBMITTING, _P.RUNNING), JobQueued, next=_P.QUEUED),
    Row((_P.QUEUED,), QueueTimedOut, has_target, _P.MOVING, (_A.SAVE_ATTEMPTS, _A.CANCEL)),
    Row((_P.QUEUED,), QueueTimedOut, next=_P.GIVING_UP, actions=(_A.END_JOB,)),
    Row((_P.MOVING,), CancelHadNoEffect, next=_P.MOVING, actions=(_A.CANCEL,)),
    Row((_P.GIVING_UP,), JobOver, next=_P.FAILED, actions=(_A.FAIL,)),
    Row((_P.GIVING_UP,), JobEnded, next=_P.FAILED, actions=(_A.FAIL,)),
    Row((_P.GIVING_UP,), JobHeld, next=_P.FAILED, actions=(_A.FAIL,)),
    Row((_P.GIVING_UP,), JobLost, next=_P.FAILED, actions=(_A.FAIL,)),
    Row(_OPEN, JobEnded, may_resubmit, _P.SUBMITTING, (_A.SUBMIT, _A.RELEASE_PREVIOUS)),
    Row((*_OPEN, _P.CANCELLING), JobEnded, actions=(_A.CONCLUDE,)),
    Row((*_OPEN, _P.CANCELLING), JobHeld, next=_P.FAILED, actions=(_A.CONCLUDE,)),
    Row((*_OPEN, _P.CANCELLING), JobLost, next=_P.FAILED, actions=(_A.CONCLUDE,)),
    Row((_P.CANCELLING,), CancelRefused, next=_P.STOPPED, actions=(_A.PUBLISH_STOPPED,)),
    Row(_OPEN, StopRequested, next=_P.CANCELLING, actions=(_A.END_JOB,)),
    Row(_OPEN, GiveUp, next=_P.GIVING_UP, actions=(_A.END_JOB,)),
)


def transition(state: StepState, event: Event, limits: Limits) -> tuple[StepState, tuple[Action, ...]]:
    """Return the state of a step after an event, and what is to be done.

    Args:
        state: The state before.
        event: The event.
        limits: The limits for resubmitting the step.
    """
    for row in TABLE:
        if state.phase in row.phases and isinstance(event, row.event) and row.guard(state, event, limits):
            phase = event.phase if row.next is None and isinstance(event, JobEnded) else row.next or state.phase
            after = replace(_with_facts(state, event), phase=phase)
            # As long as the step continues, only its history shows why its earlier attempts did not succeed.
            return (replace(after, error=None) if phase in _MOVES else after), row.actions
    return state, ()


def _with_facts(state: StepState, event: Event) -> StepState:
    """Return the state with what an event says about the attempts, the error and the reason to stop."""
    if isinstance(event, (JobAccepted, JobEnded, JobHeld)):
        return state.with_attempt(event.attempt)
    if isinstance(event, QueueTimedOut):
        return replace(state.with_attempt(event.attempt), error=event.error)
    if isinstance(event, StopRequested):
        return replace(state, stop_reason=event.reason)
    if not isinstance(event, Failure):
        return state
    if isinstance(event, (SubmitStopped, JobLost, CancelRefused)):
        return replace(state, error=state.error or event.error)
    attempts = state.attempts
    if isinstance(event, (NoCapacity, SubmitFailed)) and event.attempt is not None:
        attempts = with_next(attempts, event.attempt)
    # What moved the step is worth a line also if no attempt followed; a refusal says nothing more than the error.
    least = 1 if attempts[-1].reason and not isinstance(event, NoCapacity) else 2
    return replace(state, attempts=attempts, error=event.error.with_history(history(attempts, least=least)))
