"""The submission of a step: the jobs of its earlier step runs end, then its own first job is submitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zenml.exceptions import RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.action_executor import ActionExecutor
from zenml_azureml.lifecycle.canceller import SUBMIT_LAG
from zenml_azureml.lifecycle.execution import Guard, StepExecution
from zenml_azureml.lifecycle.predecessor_search import Search
from zenml_azureml.lifecycle.recovery import number_of_jobs
from zenml_azureml.lifecycle.state import StepPhase
from zenml_azureml.lifecycle.submitter import Request
from zenml_azureml.lifecycle.supervisor import RunSupervisor
from zenml_azureml.run_store.server_retries import Check, ServerUnavailableError, retrying
from zenml_azureml.submission.job_builder import JobBuilder

logger = get_logger(__name__)


@dataclass(eq=False)
class StepSubmission:
    """The submission of one operator's steps. Thread-safe, as its parts are.

    Attributes:
        executor: Carries out the actions that follow from Azure's answers.
        supervisor: Cancels the job if the process or the run ends before a caller waits for it.
    """

    executor: ActionExecutor
    supervisor: RunSupervisor

    def submit(self, step: StepExecution, builder: JobBuilder, *, is_dynamic: bool) -> None:
        """Submit a step, and publish the reason if it cannot be submitted.

        Args:
            step: The step.
            builder: Builds its job.
            is_dynamic: True in a dynamic pipeline, in which no caller waits for the step.

        Raises:
            AzureMLError: If the step cannot be submitted.
            RunStoppedException: If the run was stopped, or interrupted in this process.
        """
        check = self.executor.checks.submission_check(step)
        with retrying(self.executor.checks.server_retries(step, check)):
            try:
                check()
                self._submit(step, builder, check, is_dynamic)
            except ServerUnavailableError:
                raise
            except RunStoppedException:
                self.executor.publisher.stop(step)
                raise
            except AzureMLError as error:
                # A refusal by Azure is published by the action that follows from it.
                is_published = step.state.phase is StepPhase.FAILED
                raise (error if is_published else self.executor.publisher.failure(step, error)) from error.__cause__
            except NotImplementedError as error:
                # ZenML would conclude that this operator has no `submit`.
                raise AzureMLError(f"Failed to submit the step: {error!r}") from error

    def _submit(self, step: StepExecution, builder: JobBuilder, check: Check, is_dynamic: bool) -> None:
        earlier = self._end_earlier_jobs(step)
        # Until a caller waits for the job; in dynamic pipelines none does.
        step.guard = Guard.RUN if is_dynamic else Guard.SIGNAL
        self.supervisor.watch()
        try:
            if number_of_jobs(step.state.attempts) > 1:
                logger.info("The step already has a job: `%s`.", step.job_name)
            else:
                self._submit_first(step, builder, check, earlier)
            # Watch the job from now on: in dynamic pipelines no caller waits for it, but its log is to be shown.
            self.executor.jobs.watch(step)
            if not is_dynamic:
                check()
        except BaseException as interruption:
            self._leave_no_job(step, interruption)
            raise

    def _end_earlier_jobs(self, step: StepExecution) -> Search | None:
        try:
            check = self.executor.checks.submission_check(step, ask_server=True)
            return self.executor.earlier_jobs.end(step, check)
        except BaseException as interruption:
            self.executor.executions.note_interruption(step, interruption)
            raise

    def _submit_first(self, step: StepExecution, builder: JobBuilder, check: Check, earlier: Search | None) -> None:
        with step.lock:
            if step.state.phase is not StepPhase.CANCELLING:
                step.state = replace(step.state, phase=StepPhase.SUBMITTING)
        request = Request(builder, check, earlier)
        try:
            self.executor.advance(step, self.executor.submitter.submit(step, 0, request), request)
            if step.state.phase is StepPhase.FAILED and step.state.error is not None:
                raise step.state.error
        except AzureMLError as error:
            from zenml_azureml.azure.retry import is_transient

            # With a reservation, the job was accepted. Otherwise Azure refused it, and a retry finds no earlier job.
            if step.reservation is None and not is_transient(error):
                self.executor.earlier_jobs.note_end(step.step_run)
            raise

    def _leave_no_job(self, step: StepExecution, interruption: BaseException) -> None:
        """Cancel the job of a step after an exception that ended its submission, if there is one.

        Raises:
            ServerUnavailableError: If the server does not know what became of the step. It has the command that
                publishes it.
        """
        is_failure = isinstance(interruption, AzureMLError) and not isinstance(interruption, ServerUnavailableError)
        if is_failure or getattr(interruption, "explained", False):  # the step has no job that could go on
            step.guard = Guard.NONE
            if step.reservation is not None and step.state.phase is StepPhase.FAILED:
                try:  # its job was accepted, and cancelled for a cost limit
                    self.executor.clean_up(step)
                except AzureMLError as error:
                    logger.warning("%s", error)
            return
        # After Ctrl+C, or if the server does not save the job, no caller would wait for a job that exists.
        self.executor.abort(step, interruption, look_for=SUBMIT_LAG)
        unreported = None
        if isinstance(interruption, ServerUnavailableError):
            unreported = self.executor.publisher.unreported(step, interruption)
        self.executor.clean_up(step)
        if unreported is not None:
            raise unreported from None
