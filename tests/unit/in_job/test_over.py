"""When a step is over, by what the ZenML server answers: the whole table, since a wrong line kills healthy jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from zenml.enums import ExecutionMode, ExecutionStatus

from tests.unit.in_job.answering import PARENT, RUN, STEP_RUN, entity, page
from zenml_azureml.contract.hold import HELD_UNTIL
from zenml_azureml.contract.variables import DYNAMIC, IN_FAILED_RUN
from zenml_azureml.in_job.watcher.loop import watched_step
from zenml_azureml.in_job.watcher.over import Decision, NoAnswerError, Poll, WatchedStep, poll

GRANDPARENT = "44444444-4444-4444-8444-444444444444"

ALL = [status.value for status in ExecutionStatus]
MODES = [DYNAMIC, "", *(mode.value for mode in ExecutionMode)]


class Server:
    """What a server answers, and what it was asked."""

    def __init__(
        self, step: str, run: str = "running", failed: int = 0, parents: Mapping[str, str] | None = None
    ) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Any] = {
            f"steps/{STEP_RUN}": entity(STEP_RUN, step),
            f"runs/{RUN}": entity(RUN, run, project_id="p"),
            "steps": page(*[entity("x", "failed")] * failed),
            **{f"runs/{parent}": entity(parent, status) for parent, status in (parents or {}).items()},
        }

    def get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append((path, dict(parameters)))
        answer: dict[str, Any] = self.answers[path]
        return answer


def why(server: Server, mode: str = "continue_on_failure", parents: tuple[str, ...] = ()) -> str:
    return poll(WatchedStep(STEP_RUN, RUN, mode, parents), server.get).over


@pytest.mark.parametrize("status", ALL)
def test_the_step_run_alone(status: str) -> None:
    over = {"retried", "stopping", "stopped", "cancelling", "cancelled"}
    server = Server(status)

    answer = poll(WatchedStep(STEP_RUN, RUN, DYNAMIC), server.get)

    assert bool(answer.over) is (status in over)
    assert answer.reported == (status if status in {"completed", "failed", "retrying"} else "")
    # A status that needs no second question costs none.
    assert len(server.asked) == (1 if answer.over or answer.reported else 2)
    assert all(parameters == {"hydrate": "false"} for _, parameters in server.asked)


@pytest.mark.parametrize("failed_steps", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("run", ALL)
def test_the_run_of_a_running_step(run: str, mode: str, failed_steps: int) -> None:
    if run in ("stopping", "stopped"):
        over = True
    elif mode == DYNAMIC:
        over = ExecutionStatus(run).is_finished
    else:
        over = run == "failed" and (mode == "fail_fast" or failed_steps == 0)

    assert bool(why(Server("running", run, failed_steps), mode)) is over


@pytest.mark.parametrize("step", ["initializing", "provisioning", "queued", "running", "paused", "resuming"])
def test_a_step_run_that_has_merely_lost_its_orchestrator_keeps_running(step: str) -> None:
    assert all(not why(Server(step, "running"), mode) for mode in MODES)


@pytest.mark.parametrize("run", ALL)
@pytest.mark.parametrize("step", ["completed", "failed", "retrying"])
def test_what_the_job_reports_itself_is_not_over_whatever_its_run_is(step: str, run: str) -> None:
    assert all(not why(Server(step, run), mode) for mode in MODES)


@pytest.mark.parametrize("status", ALL)
@pytest.mark.parametrize("which", [PARENT, GRANDPARENT])
def test_a_run_whose_parent_was_stopped_is_stopped(which: str, status: str) -> None:
    server = Server("running", parents={PARENT: "running", GRANDPARENT: "running", which: status})

    reason = why(server, DYNAMIC, (PARENT, GRANDPARENT))

    assert reason == (f"the parent of its run is {status}" if status in ("stopping", "stopped") else "")


def test_it_looks_for_failed_steps_of_this_run_in_its_project() -> None:
    server = Server("running", "failed", 1)
    why(server)

    path, parameters = server.asked[-1]
    assert path == "steps"
    assert parameters == {"pipeline_run_id": RUN, "status": "failed", "hydrate": "false", "size": "1", "project": "p"}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (f"steps/{STEP_RUN}", {}),
        (f"steps/{STEP_RUN}", entity(PARENT, "stopped")),
        (f"steps/{STEP_RUN}", {"id": STEP_RUN}),
        (f"steps/{STEP_RUN}", {"id": STEP_RUN, "body": None}),
        (f"steps/{STEP_RUN}", {"id": STEP_RUN, "body": {"status": ["stopped"]}}),
        (f"steps/{STEP_RUN}", {"id": STEP_RUN, "body": {"status": ""}}),
        (f"runs/{RUN}", entity(PARENT, "stopped")),
        (f"runs/{RUN}", {"detail": "moved"}),
        (f"runs/{PARENT}", entity(RUN, "stopped")),
        ("steps", {}),
        ("steps", {"total": 0}),
        ("steps", {"total": "0", "items": []}),
        ("steps", {"total": False, "items": []}),
        ("steps", {"total": 1, "items": []}),
    ],
)
def test_an_answer_that_is_none_ends_nothing(path: str, answer: dict[str, Any]) -> None:
    server = Server("running", "failed" if path == "steps" else "running", parents={PARENT: "running"})
    server.answers[path] = answer

    with pytest.raises(NoAnswerError):
        why(server, parents=(PARENT,))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


OVER, RUNS, NONE = Poll(over="its run is stopped"), Poll(), None


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ([OVER], False),
        ([OVER, OVER], True),
        ([OVER, RUNS, OVER], False),
        ([OVER, NONE, OVER], False),
        ([OVER, NONE, OVER, OVER], True),
        ([NONE] * 9 + [OVER, OVER], True),
        ([OVER, Poll(over="its step run is stopped")], True),
        ([OVER, Poll(reported="completed")], False),
        ([RUNS] * 100, False),
        ([NONE] * 100, False),
    ],
)
def test_only_two_answers_in_a_row_end_a_step(answers: list[Poll | None], ends: bool) -> None:
    decision, reason = Decision(Clock()), ""
    for answer in answers:
        if answer is None:
            decision.note_no_answer()
            reason = ""
        else:
            reason = decision.note(answer)

    assert bool(reason) is ends


def test_it_gives_up_after_ten_without_an_answer_in_a_row() -> None:
    decision = Decision(Clock())
    for _ in range(3):
        for _ in range(9):
            decision.note_no_answer()
            assert not decision.has_given_up
        decision.note(RUNS)
    for _ in range(9):
        decision.note_no_answer()
    assert not decision.has_given_up

    decision.note_no_answer()

    assert decision.has_given_up


@pytest.mark.parametrize("reported", ["completed", "failed", "retrying"])
def test_what_the_job_reports_itself_ends_it_only_after_ten_minutes(reported: str) -> None:
    clock = Clock()
    decision = Decision(clock)
    for minutes in range(10):
        clock.now = 1000.0 + 60 * minutes
        assert decision.note(Poll(reported=reported)) == ""
    clock.now = 1000.0 + 599.9
    assert decision.note(Poll(reported=reported)) == ""
    clock.now = 1000.0 + 600
    assert decision.note(Poll(reported=reported)) == ""  # the first of the two that are needed
    clock.now += 60

    assert decision.note(Poll(reported=reported)) == f"its step run has been {reported} for 10 minutes"


def test_the_ten_minutes_begin_with_the_report_and_not_before() -> None:
    clock = Clock()
    decision = Decision(clock)
    decision.note(Poll(reported="retrying"))
    clock.now += 500
    decision.note(RUNS)
    clock.now += 500
    decision.note(Poll(reported="retrying"))
    clock.now += 300

    assert [decision.note(Poll(reported="failed")) for _ in range(3)] == ["", "", ""]


def test_polls_without_an_answer_do_not_begin_the_ten_minutes_again() -> None:
    clock = Clock()
    decision = Decision(clock)
    decision.note(Poll(reported="completed"))
    decision.note_no_answer()
    clock.now += 601

    assert [bool(decision.note(Poll(reported="completed"))) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("failed_steps", [0, 1])
@pytest.mark.parametrize("run", ALL)
def test_a_step_that_was_submitted_in_a_failed_run_is_over_only_if_the_run_is_stopped(
    run: str, failed_steps: int
) -> None:
    """A restarted orchestrator has submitted it: ZenML's client fails a run at the first end of a container."""
    over = why(Server("running", run, failed_steps), IN_FAILED_RUN)

    assert bool(over) is (run in ("stopping", "stopped"))


@pytest.mark.parametrize("status", ALL)
@pytest.mark.parametrize(("minutes", "is_saved"), [(5, True), (-5, True), (5, False)])
@pytest.mark.parametrize("may_be_held", [True, False])
def test_a_step_whose_job_is_held_is_not_over_until_its_hold_is(
    status: str, minutes: int, is_saved: bool, may_be_held: bool
) -> None:
    server = Server(status)
    until = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    metadata = {"run_metadata": {HELD_UNTIL: until.isoformat()} if is_saved else {}}
    server.answers[f"steps/{STEP_RUN}"]["metadata"] = metadata
    step = WatchedStep(STEP_RUN, RUN, DYNAMIC, may_be_held=may_be_held)

    answer = poll(step, server.get)

    is_held = may_be_held and is_saved and minutes > 0 and status in {"failed", "retrying", "retried"}
    assert answer == (Poll() if is_held else poll(WatchedStep(STEP_RUN, RUN, DYNAMIC), server.get))


def test_a_step_run_without_metadata_is_not_held() -> None:
    server = Server("retried")
    server.answers[f"steps/{STEP_RUN}"]["metadata"] = None

    assert poll(WatchedStep(STEP_RUN, RUN, DYNAMIC, may_be_held=True), server.get).over == "its step run is retried"


@pytest.mark.parametrize(("minutes", "may_be_held"), [("30", True), ("0", False), ("soon", False), (None, False)])
def test_the_watcher_knows_from_the_variables_of_the_job_if_it_may_be_held(
    minutes: str | None, may_be_held: bool
) -> None:
    variables = {
        "ZENML_STORE_URL": "https://zenml.example",
        "ZENML_AZUREML_JOB_STOP_CHECK_SECONDS": "60",
        "ZENML_AZUREML_JOB_STEP_RUN_ID": STEP_RUN,
        "ZENML_AZUREML_JOB_RUN_ID": RUN,
        **({} if minutes is None else {"ZENML_AZUREML_HOLD_MINUTES": minutes}),
    }

    assert watched_step(variables) == WatchedStep(STEP_RUN, RUN, may_be_held=may_be_held)
