"""Mutants of what ends jobs before their time."""

from __future__ import annotations

from typing import Any

from tests.chaos.mutants.mutant import Mutant, nothing, put
from tests.chaos.schedule import PlannedEvent


def _cancel_nothing() -> None:
    from zenml_azureml.lifecycle.canceller import Canceller

    put(Canceller, "end", nothing)


def _nothing_at_exit() -> None:
    from zenml_azureml.lifecycle import supervisor

    put(supervisor, "_end_at_exit", nothing)


def _look_at_no_run() -> None:
    from zenml_azureml.lifecycle.supervisor import RunSupervisor

    put(RunSupervisor, "_look_at_runs", nothing)


def _notice_no_signal() -> None:
    from zenml_azureml.lifecycle.stop_signals import StopSignals

    put(StopSignals, "notice", nothing)


def _guard_nothing() -> None:
    from zenml_azureml.lifecycle.execution import Executions

    put(Executions, "guarded", lambda *_arguments: [])


def _end_where_it_waits() -> None:
    from zenml_azureml.lifecycle.canceller import Canceller

    def end(self: Any, steps: Any, *, look_for: Any = None, then: Any = None) -> None:
        from datetime import timedelta

        from zenml_azureml.lifecycle.execution import Guard

        self._end(list(steps), look_for or timedelta())
        for step in steps:
            step.guard = then or Guard.NONE

    put(Canceller, "end", end)
    # What else would end a job then: some seconds later, where the process is that slow.
    _nothing_at_exit()
    _notice_no_signal()


def _try_again_after_interruption() -> None:
    from zenml_azureml.lifecycle.execution import Executions
    from zenml_azureml.lifecycle.step_checks import SubmissionCheck

    put(Executions, "note_interruption", nothing)
    put(SubmissionCheck, "__call__", nothing)


def _do_not_look_whether_stopped() -> None:
    from zenml_azureml.lifecycle.step_checks import StepChecks

    put(StepChecks, "check_run", nothing)


def _publish_no_stop() -> None:
    from zenml_azureml.run_store import step_runs

    put(step_runs, "publish_stopped", nothing)


_INTERRUPTED = ("SIGINT", "SIGTERM", "exception", "runs stop")

MUTANTS = (
    Mutant(
        "no cancel on interrupt",
        _cancel_nothing,
        "no job left",
        tuple(("job GET", event) for event in _INTERRUPTED),
        "static",
    ),
    Mutant("no look at dynamic runs", _look_at_no_run, "lets go", (("job listing", "runs stop"),), "concurrent"),
    Mutant("no signal noticed", _notice_no_signal, "no job left", (("job listing", "SIGTERM"),), "concurrent"),
    Mutant("no job guarded", _guard_nothing, "no job left", (("job GET", "SIGTERM"), ("job GET", "SIGINT")), "dynamic"),
    Mutant(
        "ends where it waits",
        _end_where_it_waits,
        "no job left",
        (("cancel", "second SIGINT"),),
        "static",
        {"events": (PlannedEvent("SIGINT", "job GET"), PlannedEvent("second SIGINT", "cancel", 1, "before", 0, True))},
    ),
    Mutant(
        "tries again after an interruption",
        _try_again_after_interruption,
        "no job after an interruption",
        (("job GET", "SIGINT"), ("job GET", "SIGTERM")),
        "retries",
    ),
    Mutant(
        "no look whether it was stopped", _do_not_look_whether_stopped, "lets go", (("job GET", "runs stop"),), "static"
    ),
    Mutant("no stop published", _publish_no_stop, "statuses", (("job GET", "runs stop"),), "static"),
)
