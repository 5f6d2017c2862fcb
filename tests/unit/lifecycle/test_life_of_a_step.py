"""Any sequence of what Azure, the server, users and the clock do to a step, as a state machine of hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.recovery import Attempt, Limits, RetryReason
from zenml_azureml.lifecycle.state import (
    Action,
    CancelHadNoEffect,
    CancelRefused,
    Event,
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
)
from zenml_azureml.lifecycle.transitions import target_after, transition

ERROR = AzureMLError("It failed.")

#: Phases that some run of the machine below has reached.
REACHED: set[StepPhase] = set()

_ENDS = {"Completed": StepPhase.SUCCEEDED, "Failed": StepPhase.FAILED, "Canceled": StepPhase.STOPPED}


class Life(RuleBasedStateMachine):
    """A step whose actions are carried out on a model of Azure: the status of each of its jobs."""

    @initialize(fallbacks=st.integers(0, 2), preemptions=st.integers(0, 2))
    def begin(self, fallbacks: int, preemptions: int) -> None:
        self.limits = Limits(1 + fallbacks, preemptions)
        self.state = StepState(StepPhase.SUBMITTING, (Attempt(0, "job-1"),))
        self.jobs: dict[str, str] = {}
        self.sent = 1
        self.target: int | None = 0
        self.conclusions = 0
        self.was_stopped = False
        self.held = ""

    def apply(self, event: Event) -> None:
        REACHED.add(self.state.phase)
        before, (self.state, actions) = self.state, transition(self.state, event, self.limits)
        REACHED.add(self.state.phase)
        for action in actions:
            self.carry_out(action, before, event)

    def carry_out(self, action: Action, before: StepState, event: Event) -> None:
        if action is Action.SUBMIT:
            self.target = target_after(before, event, self.limits)
            assert self.target is not None
            assert self.target < self.limits.targets
            self.sent += 1
            attempts = self.state.attempts
            self.state = replace(self.state, attempts=(*attempts, Attempt(self.target, f"job-{self.sent}")))
        elif action is Action.END_JOB:
            self.jobs = {name: _cancelled(status) for name, status in self.jobs.items()}
            if self.state.phase is StepPhase.GIVING_UP:
                self.apply(JobOver())
        elif action in (Action.CONCLUDE, Action.FAIL, Action.PUBLISH_STOPPED):
            self.conclusions += 1

    @property
    def name(self) -> str:
        return self.state.attempt.job

    @property
    def is_sent(self) -> bool:
        return self.target is not None and self.state.phase in (StepPhase.SUBMITTING, StepPhase.CANCELLING)

    @precondition(lambda self: self.is_sent)
    @rule()
    def azure_accepts(self) -> None:
        unfinished = [name for name, status in self.jobs.items() if status not in _ENDS]
        assert not unfinished, "never two unfinished jobs"
        name = f"job-{self.sent}"
        self.jobs[name] = "Queued"
        attempt = Attempt(self.target or 0, name, place="somewhere")
        self.target = None
        self.apply(JobAccepted(attempt))

    @precondition(lambda self: self.is_sent and self.state.phase is StepPhase.SUBMITTING)
    @rule(fails=st.booleans())
    def azure_refuses(self, fails: bool) -> None:
        refused, self.target = Attempt(self.target or 0, "", "somewhere", reason=RetryReason.NO_CAPACITY), None
        self.apply(SubmitFailed(ERROR) if fails else NoCapacity(ERROR, refused))

    @precondition(lambda self: self.jobs.get(self.name) == "Queued")
    @rule()
    def the_job_starts(self) -> None:
        self.jobs[self.name] = "Running"
        self.apply(JobRuns())

    @precondition(lambda self: self.jobs.get(self.name) == "Running")
    @rule()
    def the_job_is_queued_again(self) -> None:
        self.jobs[self.name] = "Queued"
        self.apply(JobQueued())

    @precondition(lambda self: self.jobs.get(self.name) == "Queued")
    @rule()
    def time_passes(self) -> None:
        late = QueueTimedOut(ERROR, replace(self.state.attempt, reason=RetryReason.QUEUE_TIMEOUT))
        self.apply(CancelHadNoEffect() if self.state.phase is StepPhase.MOVING else late)

    @precondition(lambda self: self.jobs.get(self.name) is not None and not self.state.phase.is_final)
    @rule(status=st.sampled_from(sorted(_ENDS)), reason=st.sampled_from([None, *RetryReason]), reported=st.booleans())
    def the_job_ends(self, status: str, reason: RetryReason | None, reported: bool) -> None:
        status = self.jobs[self.name] if self.jobs[self.name] in _ENDS else status
        self.jobs[self.name] = status
        ended = replace(self.state.attempt, reason=None if status == "Completed" else reason)
        self.apply(JobEnded(ended, _ENDS[status], may_resubmit=not reported and not self.was_stopped))

    @precondition(lambda self: self.jobs.get(self.name) == "Running" and not self.state.phase.is_final)
    @rule()
    def the_step_fails_and_its_job_is_held_open(self) -> None:
        self.held = self.name
        self.apply(JobHeld(self.state.attempt))
        assert self.state.phase is StepPhase.FAILED, "it counts as ended, in every phase"

    @precondition(lambda self: self.held in self.jobs)
    @rule(status=st.sampled_from(["Failed", "Canceled"]))
    def the_hold_ends(self, status: str) -> None:
        self.jobs[self.held] = status
        self.apply(JobEnded(self.state.attempt, _ENDS[status]))

    @precondition(lambda self: self.name in self.jobs)
    @rule()
    def the_job_is_lost(self) -> None:
        self.apply(JobLost(ERROR))

    @rule()
    def the_run_is_stopped(self) -> None:
        before = self.state.phase
        self.apply(StopRequested("the run was stopped"))
        self.was_stopped = True
        may_go_on = before.is_final or before is StepPhase.GIVING_UP
        assert may_go_on or self.state.phase is StepPhase.CANCELLING, "each state that is not an end can be stopped"

    @rule()
    def azure_refuses_to_cancel(self) -> None:
        self.apply(CancelRefused(ERROR))

    @invariant()
    def one_job(self) -> None:
        unfinished = [name for name, status in getattr(self, "jobs", {}).items() if status not in _ENDS]
        assert len(unfinished) <= 1

    @invariant()
    def no_further_job_of_a_step_that_is_held(self) -> None:
        if getattr(self, "held", ""):
            assert self.state.phase is StepPhase.FAILED
            assert list(self.jobs)[-1] == self.held

    @invariant()
    def one_conclusion(self) -> None:
        if hasattr(self, "state"):
            assert self.conclusions == int(self.state.phase.is_final)

    @invariant()
    def no_job_after_a_stop(self) -> None:
        if getattr(self, "was_stopped", False) and self.target is not None:
            assert self.state.phase is not StepPhase.SUBMITTING


def _cancelled(status: str) -> str:
    return status if status in _ENDS else "Canceled"


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)


def test_every_state_is_reached() -> None:
    """By some of the machine's runs: one of them misses a rare state now and then."""
    for _ in range(10):
        if set(StepPhase) != REACHED:
            Life.TestCase("runTest").runTest()
    assert set(StepPhase) == REACHED
