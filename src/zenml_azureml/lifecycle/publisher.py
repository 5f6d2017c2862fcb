"""Publication of the ends of steps on ZenML's server, and reports of what could not be published."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.enums import ExecutionStatus
from zenml.logger import get_logger

from zenml_azureml.clock import Time
from zenml_azureml.contract.usage import USAGE_KEY, merged
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.attempts import cost_ahead, save
from zenml_azureml.lifecycle.execution import INTERRUPTED
from zenml_azureml.lifecycle.holding import NOT_HELD, account_of_hold
from zenml_azureml.lifecycle.outcome import account_without_server, publish, reason_of_failure, status_of
from zenml_azureml.lifecycle.recovery import history
from zenml_azureml.lifecycle.right_size import Machine, last_line
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.uncaught_errors import UNCAUGHT
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import AFTER_INTERRUPTION, ServerRetries, ServerUnavailableError, retrying

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.lifecycle.azure_jobs import AzureJobs
    from zenml_azureml.lifecycle.execution import Executions, StepExecution

logger = get_logger(__name__)

#: The last value of each metric that the job has logged to its own run in Azure ML, by name.
METRICS_KEY = "azureml_metrics"


class Publisher:
    """The publisher of the ends of one operator's steps. Thread-safe: it has no state.

    Args:
        component_id: Id of the operator on ZenML's server.
        executions: Its steps.
        jobs: Their jobs.
        time: The clock.
    """

    def __init__(self, component_id: UUID, executions: Executions, jobs: AzureJobs, time: Time) -> None:
        self._component_id = component_id
        self._executions = executions
        self._jobs = jobs
        self._time = time

    def save_attempts(self, step: StepExecution) -> None:
        """Save the attempts to run a step, with the reason why the last one is cancelled."""
        save(step.step_run, self._component_id, step.state.attempts)

    def conclude(self, step: StepExecution, job: JobHandle) -> AzureMLError | None:
        """Save what a step has cost, and publish its end if its own code did not.

        Args:
            step: The step, with its last attempt closed.
            job: Its last job, which is settled.

        Returns:
            The reason why it did not succeed; None if it did.

        Raises:
            ServerUnavailableError: If the server is unavailable. It has the command that repairs the state.
        """
        try:
            if job.error is None:
                self._save_facts(step, job)
            because, machine = self._executions.why_stopped(step), self._jobs.machine(step)
            error = reason_of_failure(job, step.step_run, because, machine)
            if error is not None:
                error = error.with_history(history(step.state.attempts)).with_history(_account_of_hold(step, job))
                publish(job, step.step_run, error, because)
        except ServerUnavailableError as away:
            raise self.unreported(step, away) from None
        if job.error is None:
            _show_use(step, job, machine)
        return error

    def failure(self, step: StepExecution, error: AzureMLError) -> AzureMLError:
        """Publish why a step failed.

        Returns:
            The error to raise; if the server is unavailable, it has the command that repairs the state.
        """
        try:
            step_runs.publish_failure(step.step_run, error)
        except ServerUnavailableError as away:
            return self._explained(step, away, error)
        return error

    def stop(self, step: StepExecution, reason: AzureMLError | None = None) -> None:
        """Publish that a step was stopped; log how to repair the state if the server is unavailable.

        Args:
            step: The step.
            reason: The cause, if it was not the end of the run.
        """
        is_awaited = self._executions.why_stopped(step) == INTERRUPTED  # by a user, after Ctrl+C
        timeout = AFTER_INTERRUPTION if is_awaited else step.plan.unreachable_timeout
        with retrying(ServerRetries(timeout, self._time, STOP_SIGNALS.checker())):
            try:
                step_runs.publish_stopped(step.step_run, reason)
            except ServerUnavailableError as away:
                stopped = reason or AzureMLError(f"The step `{step.name}` was stopped.")
                logger.error("%s", self._explained(step, away, stopped))

    def stop_all(self, steps: Iterable[StepExecution]) -> None:
        """Publish at exit that steps were stopped. Never raises."""
        steps = list(steps)
        with retrying(ServerRetries(AFTER_INTERRUPTION, self._time)):
            for number, step in enumerate(steps):
                try:
                    if not step_runs.has_reported(step.step_run):
                        job = self._jobs.watch(step)
                        step_runs.publish_stopped(step.step_run, self._account(step, job) if job.settled else None)
                except ServerUnavailableError as away:
                    for left in steps[number:]:
                        stopped = AzureMLError(f"The step `{left.name}` was stopped.")
                        logger.error("%s", self._explained(left, away, stopped))
                    return
                except Exception as error:  # noqa: BLE001 - the jobs are cancelled, which matters more
                    logger.debug("Could not publish that the step `%s` was stopped: %s", step.name, error)

    def unreported(self, step: StepExecution, away: ServerUnavailableError) -> ServerUnavailableError:
        """Return the error for a step whose end the server does not know, with the command that publishes it.

        Args:
            step: The step.
            away: The error of the server.
        """
        return self._explained(step, away, self._account(step, self._jobs.watch(step)))

    def _account(self, step: StepExecution, job: JobHandle) -> AzureMLError:
        because = self._executions.why_stopped(step)
        return account_without_server(job, step.step_run, because, history(step.state.attempts))

    def _explained(
        self, step: StepExecution, away: ServerUnavailableError, account: AzureMLError
    ) -> ServerUnavailableError:
        cloud = step.plan.settings.cloud
        command = f"zenml-azureml jobs wait {step.job_name}{f' --cloud {cloud}' if cloud else ''}"
        error = away.explaining(account, command)
        UNCAUGHT.show(error)
        return error

    def _save_facts(self, step: StepExecution, job: JobHandle) -> None:
        # If the process that submitted the job was killed before it could save it.
        is_known = step_runs.is_recorded(step.step_run)
        ahead = {} if is_known else {**step_runs.facts_of(job), **cost_ahead(step.state.attempt)}
        metrics = self._jobs.metrics(step)
        if metrics:
            ahead[METRICS_KEY] = metrics
        ahead |= self._jobs.written_data(step, job)
        usage = merged(job.log_end.usages)
        if usage is not None:
            ahead[USAGE_KEY] = usage.as_json()
        try:
            save(step.step_run, self._component_id, step.state.attempts, ahead)
        except ServerUnavailableError:
            raise  # the end of the step cannot be saved either
        except Exception as error:  # noqa: BLE001 - how the step ended is worth more than what it cost
            logger.warning(
                "Could not save the cost, the metrics and the outputs of the step `%s`: %s", step.name, error
            )


def _show_use(step: StepExecution, job: JobHandle, machine: Machine) -> None:
    """Log what the use of a job says about its VM size."""
    usage = merged(job.log_end.usages)
    if usage is not None:
        line = last_line(usage, machine.look_up(), step.state.attempt.hours)
        logger.info("Use of step `%s`: %s.", step.name, line)


def _account_of_hold(step: StepExecution, job: JobHandle) -> str:
    """Return the lines about the hold of a job; empty if the step has none, or has not failed."""
    if not step.plan.settings.hold_on_failure_minutes or status_of(job) is not ExecutionStatus.FAILED:
        return ""
    if job.error is not None or (job.held_until is not None and job.phase.ended):
        return ""  # nothing is known of it, or it was held and released
    if job.held_until is None:
        return NOT_HELD
    attempt = step.state.attempt
    services = step.plan.targets[attempt.target].resolution.options.services
    return account_of_hold(job.name, job.held_until, attempt.usd_per_hour, services)
