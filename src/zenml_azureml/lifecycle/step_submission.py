"""The submission of a step: the jobs of its earlier step runs end, then its own first job is submitted."""

from __future__ import annotations

from dataclasses import replace

from zenml.exceptions import RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.action_executor import ActionExecutor
from zenml_azureml.lifecycle.attempts import has_moved
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import SUBMIT_LAG
from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs, Ended
from zenml_azureml.lifecycle.execution import Executions, Guard, StepExecution
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.state import StepPhase
from zenml_azureml.lifecycle.step_checks import Check, StepChecks
from zenml_azureml.lifecycle.submitter import JobBuilder, StepSubmitter, first_request
from zenml_azureml.lifecycle.supervisor import RunSupervisor
from zenml_azureml.run_store.server_retries import ServerUnavailableError, retrying

logger = get_logger(__name__)


class StepSubmission:
    """Submits the steps of one operator. Thread-safe, as its parts are.

    Args:
        executions: The steps.
        jobs: Their jobs.
        executor: Carries out the actions that follow from Azure's answer.
        submitter: Submits jobs.
        publisher: Publishes the ends of steps.
        earlier_jobs: Ends the jobs of earlier step runs.
        supervisor: Cancels the job if the process or the run ends before a caller waits for it.
        checks: Check whether the run was stopped.
    """

    def __init__(  # noqa: PLR0917 - its parts
        self,
        executions: Executions,
        jobs: AzureJobs,
        executor: ActionExecutor,
        submitter: StepSubmitter,
        publisher: Publisher,
        earlier_jobs: EarlierJobs,
        supervisor: RunSupervisor,
        checks: StepChecks,
    ) -> None:
        self._executions = executions
        self._jobs = jobs
        self._executor = executor
        self._submitter = submitter
        self._publisher = publisher
        self._earlier_jobs = earlier_jobs
        self._supervisor = supervisor
        self._checks = checks

    def submit(self, step: StepExecution, build: JobBuilder, *, is_dynamic: bool) -> None:
        """Submit a step, and publish the reason if it cannot be submitted.

        Args:
            step: The step.
            build: Builds its job.
            is_dynamic: True in a dynamic pipeline, in which no caller waits for the step.

        Raises:
            AzureMLError: If the step cannot be submitted.
            RunStoppedException: If the run was stopped, or interrupted in this process.
        """
        check = self._checks.submission_check(step)
        with retrying(self._checks.server_retries(step, check)):
            try:
                check()
                self._submit(step, build, check, is_dynamic)
            except ServerUnavailableError:
                raise
            except RunStoppedException:
                self._executor.publish_stopped(step)
                raise
            except AzureMLError as error:
                # A refusal by Azure is published by the action that follows from it.
                is_published = step.state.phase is StepPhase.FAILED
                raise (error if is_published else self._publisher.failure(step, error)) from error.__cause__
            except NotImplementedError as error:
                # ZenML would conclude that this operator has no `submit`.
                raise AzureMLError(f"Failed to submit the step: {error!r}") from error

    def _submit(self, step: StepExecution, build: JobBuilder, check: Check, is_dynamic: bool) -> None:
        earlier = self._end_earlier_jobs(step)
        # Until a caller waits for the job; in dynamic pipelines none does.
        step.guard = Guard.RUN if is_dynamic else Guard.SIGNAL
        self._supervisor.watch()
        try:
            if has_moved(step.state.attempts):
                logger.info("The step already has a job: `%s`.", step.job_name)
            else:
                self._submit_first(step, build, check, earlier)
            # Watch the job from now on: in dynamic pipelines no caller waits for it, but its log is to be shown.
            self._jobs.watch(step)
            if not is_dynamic:
                check()
        except BaseException as interruption:
            is_failure = isinstance(interruption, AzureMLError) and not isinstance(interruption, ServerUnavailableError)
            if is_failure or getattr(interruption, "explained", False):  # the step has no job
                step.guard = Guard.NONE
                if step.reservation is not None and step.state.phase is StepPhase.FAILED:
                    self._clean_up(step)  # its job was accepted, and cancelled for a limit of cost
                raise
            # After Ctrl+C, or if the server does not save the job, no caller would wait for a job that exists.
            self._executor.abort(step, interruption, look_for=SUBMIT_LAG)
            unreported = None
            if isinstance(interruption, ServerUnavailableError):
                unreported = self._publisher.unreported(step, interruption)
            self._executor.clean_up(step)
            if unreported is not None:
                raise unreported from None
            raise

    def _clean_up(self, step: StepExecution) -> None:
        try:
            self._executor.clean_up(step)
        except AzureMLError as error:
            logger.warning("%s", error)

    def _submit_first(self, step: StepExecution, build: JobBuilder, check: Check, earlier: Ended) -> None:
        with step.lock:
            if step.state.phase is not StepPhase.CANCELLING:
                step.state = replace(step.state, phase=StepPhase.SUBMITTING)
        request = first_request(build, earlier.checkpoints, check, earlier.look_again)
        try:
            self._executor.advance(step, self._submitter.submit(step, 0, request), request)
            if step.state.phase is StepPhase.FAILED and step.state.error is not None:
                raise step.state.error
        except AzureMLError as error:
            from zenml_azureml.azure.retry import is_transient

            # With a reservation, the job was accepted. Otherwise Azure refused it, and a retry finds no earlier job.
            if step.reservation is None and not is_transient(error):
                self._earlier_jobs.note_end(step.step_run)
            raise

    def _end_earlier_jobs(self, step: StepExecution) -> Ended:
        try:
            return self._earlier_jobs.end(step, self._checks.submission_check(step, ask_server=True))
        except BaseException as interruption:
            self._executions.note_interruption(step, interruption)
            raise
