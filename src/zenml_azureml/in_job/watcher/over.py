"""Decides whether a job's step is over on the ZenML server, from what the server answers. Pure; standard library only.

A wrong decision kills a healthy job. So only what the server clearly states counts, and whatever cannot be
distinguished leaves the job running.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from zenml_azureml.contract.hold import held_until
from zenml_azureml.contract.variables import DYNAMIC, IN_FAILED_RUN

FAIL_FAST: Final = "fail_fast"


#: A step run in one of these has no use for its job any more. The job itself never reports the first one, and the
#: others only after it was asked to stop.
_OVER: Final = frozenset({"retried", "stopping", "stopped", "cancelling", "cancelled"})

#: Statuses that the job itself reports, before its hooks, its log upload and the wait for other ranks are done.
_REPORTED: Final = frozenset({"completed", "failed", "retrying"})

#: Statuses of a step run whose function has failed. ZenML sets the last one when it retries the step.
_MAY_BE_HELD: Final = frozenset({"failed", "retrying", "retried"})

_STOPPED: Final = frozenset({"stopping", "stopped"})

#: As `ExecutionStatus.is_finished` of ZenML.
_FINISHED: Final = frozenset({"completed", "failed", "stopped", "cancelled", "cached", "skipped", "retried"})

#: Time that a job has to finish after its step run has an end that the job reports itself.
REPORTED_SECONDS: Final = 600.0

#: A step is over if so many answers in a row say it.
ANSWERS_NEEDED: Final = 2

#: The watcher gives up after so many polls in a row without an answer.
MOST_UNANSWERED: Final = 10

Json = dict[str, Any]
#: Return the JSON object at a path below `/api/v1/` with these parameters, or raise `NoAnswerError`.
Ask = Callable[[str, Mapping[str, str]], Json]


class NoAnswerError(Exception):
    """The server gave no answer that counts. The message describes the answer or the error."""


@dataclass(frozen=True)
class WatchedStep:
    """A step run and its run.

    Attributes:
        step_run_id: Id of the step run.
        run_id: Id of its run.
        mode: `dynamic`, `in_failed_run`, or the execution mode of a static run; empty if unknown.
        parent_run_ids: Ids of the run's parent, of that one's parent and so on.
        may_be_held: True if its job is held after a failure of its function.
    """

    step_run_id: str
    run_id: str
    mode: str = ""
    parent_run_ids: tuple[str, ...] = ()
    may_be_held: bool = False


@dataclass(frozen=True)
class Poll:
    """The answer of one poll.

    Attributes:
        over: The reason why the step is over; empty if it is not.
        reported: The status that the job itself has reported; empty if it has reported none.
    """

    over: str = ""
    reported: str = ""


def poll(step: WatchedStep, ask: Ask) -> Poll:
    """Ask the server about a step run, its run and the parents of the run, as far as needed.

    Args:
        step: The step run.
        ask: Sends a GET request.

    Raises:
        NoAnswerError: If one of the requests has no answer that counts.
    """
    status = _status(_entity(ask, "steps", step.step_run_id))
    if step.may_be_held and status in _MAY_BE_HELD and _is_held(step, ask):
        return Poll()
    if status in _OVER:
        return Poll(over=f"its step run is {status}")
    if status in _REPORTED:
        return Poll(reported=status)
    run = _entity(ask, "runs", step.run_id)
    reason = _why_run_is_over(step, run, ask)
    if reason:
        return Poll(over=reason)
    for parent_id in step.parent_run_ids:
        parent = _status(_entity(ask, "runs", parent_id))
        if parent in _STOPPED:
            return Poll(over=f"the parent of its run is {parent}")
    return Poll()


def _is_held(step: WatchedStep, ask: Ask) -> bool:
    """True if the job has saved the end of its hold, and that has not come yet."""
    entity = ask(f"steps/{step.step_run_id}", {"hydrate": "true"})
    metadata = entity.get("metadata")
    values = metadata.get("run_metadata") if isinstance(metadata, dict) else None
    until = held_until(values) if isinstance(values, dict) else None
    return until is not None and datetime.now(timezone.utc) < until


def _why_run_is_over(step: WatchedStep, run: Json, ask: Ask) -> str:
    status = _status(run)
    if status in _STOPPED:
        return f"its run is {status}"
    if step.mode == DYNAMIC:
        return f"its run is {status}" if status in _FINISHED else ""
    if status != "failed" or step.mode == IN_FAILED_RUN:
        return ""
    if step.mode == FAIL_FAST:
        return "its run is failed, and the execution mode is FAIL_FAST"
    # In the other modes a static run is failed as soon as one step is, while its siblings rightly keep running.
    if _has_failed_step(step.run_id, run, ask):
        return ""
    return "its run is failed, and none of its steps is"


def _has_failed_step(run_id: str, run: Json, ask: Ask) -> bool:
    parameters = {"pipeline_run_id": run_id, "status": "failed", "hydrate": "false", "size": "1"}
    project = _body(run).get("project_id")
    if project:
        parameters["project"] = str(project)
    page = ask("steps", parameters)
    total, items = page.get("total"), page.get("items")
    if (
        isinstance(total, bool)
        or not isinstance(total, int)
        or not isinstance(items, list)
        or (total > 0) != bool(items)
    ):
        raise NoAnswerError("the answer is not a page of step runs")
    return total > 0


def _entity(ask: Ask, kind: str, entity_id: str) -> Json:
    entity = ask(f"{kind}/{entity_id}", {"hydrate": "false"})
    if str(entity.get("id")).lower() != entity_id.lower():
        raise NoAnswerError(f"the answer is not about {kind}/{entity_id}")
    return entity


def _body(entity: Json) -> Json:
    body = entity.get("body")
    return body if isinstance(body, dict) else {}


def _status(entity: Json) -> str:
    status = _body(entity).get("status")
    if not isinstance(status, str) or not status:
        raise NoAnswerError("the answer has no status")
    return status.lower()


class Decision:
    """The decision over many polls.

    Args:
        clock: Returns seconds of a clock that never jumps.

    Attributes:
        has_given_up: True if too many polls in a row had no answer.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.has_given_up = False
        self._clock = clock
        self._over_in_a_row = 0
        self._unanswered_in_a_row = 0
        self._reported_at: float | None = None

    def note(self, answer: Poll) -> str:
        """Process an answer.

        Returns:
            Why the job is to end; empty if it keeps running.
        """
        self._unanswered_in_a_row = 0
        reason = answer.over or self._why_report_is_old(answer.reported)
        if not answer.reported:
            self._reported_at = None
        self._over_in_a_row = self._over_in_a_row + 1 if reason else 0
        return reason if self._over_in_a_row >= ANSWERS_NEEDED else ""

    def note_no_answer(self) -> None:
        """Note that a poll had no answer."""
        self._over_in_a_row = 0
        self._unanswered_in_a_row += 1
        self.has_given_up = self._unanswered_in_a_row >= MOST_UNANSWERED

    def _why_report_is_old(self, reported: str) -> str:
        if not reported:
            return ""
        now = self._clock()
        if self._reported_at is None:
            self._reported_at = now
        if now - self._reported_at < REPORTED_SECONDS:
            return ""
        return f"its step run has been {reported} for {REPORTED_SECONDS / 60:.0f} minutes"
