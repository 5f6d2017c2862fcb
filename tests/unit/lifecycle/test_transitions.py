"""The transitions of a step, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.recovery import Attempt, Limits, RetryReason
from zenml_azureml.lifecycle.state import (
    Action,
    CancelHadNoEffect,
    CancelRefused,
    Event,
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
from zenml_azureml.lifecycle.transitions import TABLE, Row, target_after, transition

P, A = StepPhase, Action
ENDS = (P.SUCCEEDED, P.FAILED, P.STOPPED)
ERROR = AzureMLError("It failed.")
FIRST = Attempt(0, "zenml-1", place="serverless compute")
ONE, TWO = Limits(1, 0), Limits(2, 0)

LATE = QueueTimedOut(ERROR, replace(FIRST, reason=RetryReason.QUEUE_TIMEOUT))
PREEMPTED = JobEnded(replace(FIRST, reason=RetryReason.PREEMPTED), P.FAILED, may_resubmit=True)
REFUSED = NoCapacity(ERROR, Attempt(0, "", "serverless compute", reason=RetryReason.NO_CAPACITY))


def ended(phase: StepPhase) -> JobEnded:
    return JobEnded(FIRST, phase)


#: Phase, event and limits; the next phase and the actions.
ROWS = [
    (P.SUBMITTING, JobAccepted(FIRST), ONE, P.QUEUED, ()),
    (P.CANCELLING, JobAccepted(FIRST), ONE, P.CANCELLING, (A.END_JOB,)),
    (P.SUBMITTING, REFUSED, TWO, P.SUBMITTING, (A.SUBMIT,)),
    (P.SUBMITTING, REFUSED, ONE, P.FAILED, (A.FAIL,)),
    (P.SUBMITTING, SubmitFailed(ERROR), TWO, P.FAILED, (A.FAIL,)),
    (P.SUBMITTING, SubmitStopped(ERROR), TWO, P.STOPPED, (A.PUBLISH_STOPPED,)),
    (P.QUEUED, JobRuns(), ONE, P.RUNNING, ()),
    (P.SUBMITTING, JobRuns(), ONE, P.RUNNING, ()),
    (P.RUNNING, JobQueued(), ONE, P.QUEUED, ()),
    (P.SUBMITTING, JobQueued(), ONE, P.QUEUED, ()),
    (P.QUEUED, LATE, TWO, P.MOVING, (A.SAVE_ATTEMPTS, A.CANCEL)),
    (P.QUEUED, LATE, ONE, P.GIVING_UP, (A.END_JOB,)),
    (P.MOVING, CancelHadNoEffect(), TWO, P.MOVING, (A.CANCEL,)),
    (P.GIVING_UP, JobOver(), ONE, P.FAILED, (A.FAIL,)),
    (P.GIVING_UP, ended(P.STOPPED), ONE, P.FAILED, (A.FAIL,)),
    (P.GIVING_UP, JobLost(ERROR), ONE, P.FAILED, (A.FAIL,)),
    *(
        (phase, PREEMPTED, TWO, P.SUBMITTING, (A.SUBMIT, A.RELEASE_PREVIOUS))
        for phase in (P.SUBMITTING, P.QUEUED, P.RUNNING, P.MOVING)
    ),
    *((phase, PREEMPTED, ONE, P.FAILED, (A.CONCLUDE,)) for phase in (P.QUEUED, P.RUNNING, P.MOVING, P.CANCELLING)),
    (P.CANCELLING, PREEMPTED, TWO, P.FAILED, (A.CONCLUDE,)),
    (P.RUNNING, replace(PREEMPTED, may_resubmit=False), TWO, P.FAILED, (A.CONCLUDE,)),
    *((phase, ended(end), TWO, end, (A.CONCLUDE,)) for phase in (P.QUEUED, P.RUNNING, P.CANCELLING) for end in ENDS),
    *((phase, JobLost(ERROR), TWO, P.FAILED, (A.CONCLUDE,)) for phase in (P.QUEUED, P.RUNNING, P.CANCELLING)),
    *(
        (phase, JobHeld(FIRST), TWO, P.FAILED, (A.CONCLUDE,))
        for phase in (P.SUBMITTING, P.QUEUED, P.RUNNING, P.MOVING, P.CANCELLING)
    ),
    (P.GIVING_UP, JobHeld(FIRST), TWO, P.FAILED, (A.FAIL,)),
    (P.CANCELLING, CancelRefused(ERROR), ONE, P.STOPPED, (A.PUBLISH_STOPPED,)),
    *(
        (phase, StopRequested("the run was stopped"), TWO, P.CANCELLING, (A.END_JOB,))
        for phase in (P.SUBMITTING, P.QUEUED, P.RUNNING, P.MOVING)
    ),
    *(
        (phase, GiveUp(ERROR), TWO, P.GIVING_UP, (A.END_JOB,))
        for phase in (P.SUBMITTING, P.QUEUED, P.RUNNING, P.MOVING)
    ),
]

EVENTS: list[Event] = list({type(event): event for _, event, *_ in ROWS}.values())


@pytest.mark.parametrize(("phase", "event", "limits", "following", "actions"), ROWS)
def test_an_event_leads_to_the_next_phase_and_its_actions(
    phase: StepPhase, event: Event, limits: Limits, following: StepPhase, actions: tuple[Action, ...]
) -> None:
    state, found = transition(StepState(phase, (FIRST,)), event, limits)

    assert (state.phase, found) == (following, actions)


def test_each_row_of_the_table_is_tested() -> None:
    def row_of(phase: StepPhase, event: Event, limits: Limits) -> Row:
        state = StepState(phase, (FIRST,))
        return next(
            row
            for row in TABLE
            if phase in row.phases and isinstance(event, row.event) and row.guard(state, event, limits)
        )

    tested = {id(row_of(phase, event, limits)) for phase, event, limits, *_ in ROWS}
    assert tested == {id(row) for row in TABLE}


@pytest.mark.parametrize("phase", ENDS)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_nothing_changes_a_step_that_is_over(phase: StepPhase, event: Event) -> None:
    state = StepState(phase, (FIRST,))

    assert transition(state, event, TWO) == (state, ())


def test_a_step_that_waited_in_vain_is_submitted_to_its_fallback_and_remembers_why() -> None:
    state, _ = transition(StepState(P.QUEUED, (FIRST,)), LATE, TWO)

    assert state.attempt.reason is RetryReason.QUEUE_TIMEOUT
    cancelled = JobEnded(state.attempt, P.STOPPED, may_resubmit=True)
    assert target_after(state, cancelled, TWO) == 1
    assert target_after(state, cancelled, ONE) is None


def test_the_error_of_a_refused_target_lists_all_attempts_and_is_forgotten_when_another_one_accepts() -> None:
    first = replace(FIRST, reason=RetryReason.PREEMPTED)
    state = StepState(P.SUBMITTING, (first, Attempt(1, "zenml-1-2")))
    refused, _ = transition(state, REFUSED, ONE)

    assert refused.attempts == (first, REFUSED.attempt)
    assert "2 attempts were made" in str(refused.error)
    moved, _ = transition(state, REFUSED, Limits(3, 0))
    accepted, _ = transition(moved, JobAccepted(Attempt(1, "zenml-1-2")), Limits(3, 0))
    assert moved.error is accepted.error is None


@pytest.mark.parametrize(
    "why",
    [LATE, REFUSED, PREEMPTED],
    ids=["waited in vain", "no capacity", "preempted"],
)
@pytest.mark.parametrize("is_begun", [True, False], ids=["its job may exist", "before it had a job"])
def test_a_fallback_that_azure_refuses_shows_the_refusal_and_why_the_step_was_moved(why: Event, is_begun: bool) -> None:
    state, _ = transition(StepState(P.SUBMITTING if why is REFUSED else P.QUEUED, (FIRST,)), why, TWO)
    if why is LATE:
        state, _ = transition(state, JobEnded(state.attempt, P.STOPPED, may_resubmit=True), TWO)
    refusal = AzureMLError("Azure refuses the job.", azure_message="Quota of family NC: 0", hint="Raise it.")
    refusal.__cause__ = ConnectionResetError()
    if is_begun:
        state = replace(state, attempts=(*state.attempts, Attempt(1, "zenml-1-2")))
    second = Attempt(1, "zenml-1-2" if is_begun else "", place="the compute cluster `gpus`")
    failed, actions = transition(state, SubmitFailed(refusal, second), TWO)

    assert (failed.phase, actions) == (P.FAILED, (A.FAIL,))
    assert failed.error is not None
    assert (failed.error.summary, failed.error.azure_message, failed.error.hint) == (
        refusal.summary,
        refusal.azure_message,
        refusal.hint,
    )
    assert failed.error.__cause__ is refusal.__cause__
    first, last = str(failed.error).splitlines()[-2:]
    assert "serverless compute" in first
    assert str(state.attempts[0].reason) in first
    assert last.startswith("  2. the compute cluster `gpus`")
    assert failed.attempts == (state.attempts[0], second)


@pytest.mark.parametrize("event", [GiveUp(AzureMLError("Azure does not return the job.")), SubmitFailed(ERROR)])
def test_a_step_that_cannot_be_moved_shows_both_why_it_should_be_and_why_it_is_not(event: Event) -> None:
    moving, _ = transition(StepState(P.QUEUED, (FIRST,)), LATE, TWO)
    assert moving.error is None, "the step goes on"
    ended, _ = transition(moving, JobEnded(moving.attempt, P.STOPPED, may_resubmit=True), TWO)
    over, _ = transition(ended, event, TWO)

    assert over.error is not None
    assert over.error.summary == event.error.summary  # type: ignore[attr-defined]
    if isinstance(event, GiveUp):
        assert "job `zenml-1`: queue timeout" in str(over.error)
