"""Mutants of what submits a step again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.chaos.mutants.mutant import Mutant, nothing, put
from tests.chaos.schedule import PlannedEvent, PlannedFault


def _stay() -> None:
    from zenml_azureml.lifecycle import observation

    put(observation, "reason_of_end", nothing)


def _decide(decide: Any) -> None:
    from zenml_azureml.lifecycle import observation, transitions

    for module in (observation, transitions):
        put(module, "next_target", decide)


def _count_preemptions_twice() -> None:
    from zenml_azureml.lifecycle.recovery import next_target

    def twice(attempts: Any, reason: Any, limits: Any) -> Any:
        doubled = [each for attempt in attempts[:-1] for each in (attempt, attempt)]
        return next_target([*doubled, attempts[-1]], reason, limits)

    _decide(twice)


def _move_without_end() -> None:
    from zenml_azureml.lifecycle.recovery import next_target

    _decide(lambda tried, reason, limits: next_target(tried, reason, replace(limits, max_preemptions=99)))


def _keep_the_name() -> None:
    from zenml_azureml.run_store import job_names

    name: Any = job_names.job_name_of
    put(job_names, "job_name_of", lambda step_run_id, _number=1: name(step_run_id))


def _cancel_once() -> None:
    from zenml_azureml.lifecycle import observation

    put(observation, "CANCEL_AGAIN", timedelta(days=9999))


def _leave_the_late() -> None:
    from zenml_azureml.lifecycle.action_executor import ActionExecutor
    from zenml_azureml.lifecycle.state import Action, JobOver, StepPhase

    perform: Any = ActionExecutor._perform

    def leave(self: Any, step: Any, action: Any, *rest: Any) -> Any:
        if action is Action.END_JOB and step.state.phase is StepPhase.GIVING_UP:
            return JobOver()
        return perform(self, step, action, *rest)

    put(ActionExecutor, "_perform", leave)
    # What is left then is ended with the run, but for this.
    from zenml_azureml.lifecycle.execution import Executions

    put(Executions, "guarded", lambda *_arguments: [])


_TWICE = (PlannedEvent("evicted", "job GET"), PlannedEvent("evicted", "job PUT", 2))
_EVICTED = (("job GET", "evicted"), ("log", "evicted"))

MUTANTS = (
    Mutant("no move", _stay, "outcome", _EVICTED, "static", {"faults": ()}),
    Mutant(
        "preemptions count twice",
        _count_preemptions_twice,
        "outcome",
        (("job PUT", "evicted"),),
        "static",
        {"max_preemptions": 2, "events": _TWICE},
    ),
    Mutant("moved without end", _move_without_end, "no job too many", _EVICTED, "static", {"max_preemptions": 0}),
    Mutant("moved under the same name", _keep_the_name, "outcome", _EVICTED, "static", {"faults": ()}),
    Mutant(
        "cancelled once",
        _cancel_once,
        "ends by itself",
        (("cancel", "no effect"),),
        "static",
        {
            "events": (),
            "held": False,
            "waits_in_vain": True,
            "faults": (PlannedFault("cancel", "no effect"),),
        },
    ),
    Mutant(
        "late jobs left",
        _leave_the_late,
        "no job left",
        (("job listing", "429"),),
        "concurrent",
        {"waits_in_vain": True, "fallback": False},
    ),
)
