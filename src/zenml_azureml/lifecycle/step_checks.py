"""Checks that raise if a step must not go on: its run was stopped, on the server or by this process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml.exceptions import RunStoppedException

from zenml_azureml.clock import Time
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import Check, ServerRetries

if TYPE_CHECKING:
    from zenml_azureml.lifecycle.execution import Executions, StepExecution

#: Time between two checks whether a run was stopped on the server.
STOP_CHECK_INTERVAL = timedelta(seconds=2)


@dataclass(frozen=True)
class SubmissionCheck:
    """Raises if no further job of a step may be submitted.

    Attributes:
        step: The step.
        executions: The steps of its operator.
        check_signals: Raises after a signal.
        of_run: Raises if the run was stopped on the server; None to check this process only.
    """

    step: StepExecution
    executions: Executions
    check_signals: Check
    of_run: RunCheck | None = None

    def __call__(self) -> None:
        """Check once.

        Raises:
            RunStoppedException: If the run was stopped.
            RunInterruptedException: After a signal.
        """
        self.check_signals()
        reason = self.executions.why_stopped(self.step)
        if reason:
            # After any other exception, ZenML would retry the step.
            raise RunStoppedException(f"The step is not submitted: {reason}.")
        if self.of_run is not None:
            self.of_run()


@dataclass(frozen=True)
class RunCheck:
    """Raises if the run of a step was stopped on the server.

    Attributes:
        checks: The checks of its operator.
        step: The step.
    """

    checks: StepChecks
    step: StepExecution

    def __call__(self) -> None:
        """Check once.

        Raises:
            RunStoppedException: If the run was stopped.
        """
        self.checks.check_run(self.step)


class StepChecks:
    """The checks of one operator's steps. One request now and then serves all callers that wait for steps of a run.

    Thread-safe, as `LatestAnswers` is.

    Args:
        executions: The steps.
        time: The clock.
    """

    def __init__(self, executions: Executions, time: Time) -> None:
        self._executions = executions
        self._time = time
        # A little less than the interval, so that a caller that checks once in each interval gets a new answer.
        self._stopping = LatestAnswers(step_runs.is_stopping, False, STOP_CHECK_INTERVAL * 0.9, time)

    def check_run(self, step: StepExecution) -> None:
        """Raise if the run of a step was stopped on the server.

        Raises:
            RunStoppedException: If the run was stopped.
        """
        if self._stopping.answer(step.run_id):
            raise RunStoppedException("The pipeline run was stopped.")

    def submission_check(self, step: StepExecution, *, ask_server: bool = False) -> SubmissionCheck:
        """Return a check for the submissions of a step on this thread.

        Args:
            step: The step.
            ask_server: True to check on the server too.
        """
        return SubmissionCheck(
            step, self._executions, STOP_SIGNALS.checker(), RunCheck(self, step) if ask_server else None
        )

    def server_retries(self, step: StepExecution, check: Check) -> ServerRetries:
        """Return the time for which requests to ZenML's server are retried for a step.

        Args:
            step: The step.
            check: Ends the retries by raising, after a signal.
        """
        return ServerRetries(step.plan.unreachable_timeout, self._time, check, RunCheck(self, step))
