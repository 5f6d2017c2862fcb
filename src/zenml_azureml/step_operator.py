"""`AzureMLStepOperator`, the class that ZenML calls.

Thread-safe, since ZenML uses one operator from many threads. A lock makes sure that each cloud's workspace is created
once; the workspace and the other parts are thread-safe themselves; the set of warnings is only added to.

Fork-safe: a forked child has none of its parent's threads, and locks may be held, so it gets new parts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakSet

from zenml.client import Client
from zenml.config.build_configuration import BuildConfiguration
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException
from zenml.logger import get_logger
from zenml.stack import StackValidator
from zenml.step_operators import BaseStepOperator

from zenml_azureml.azure.sdk import preload
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.clouds import Cloud, cloud_of
from zenml_azureml.exceptions import AzureMLError, AzureMLSettingsError
from zenml_azureml.lifecycle.attempts import has_moved
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import Canceller
from zenml_azureml.lifecycle.controller import StepController
from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs, Ended
from zenml_azureml.lifecycle.execution import Executions, Guard, StepExecution
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.submitter import StepSubmitter
from zenml_azureml.lifecycle.supervisor import RunSupervisor
from zenml_azureml.plugin import source_root
from zenml_azureml.plugin.config import AzureMLStepOperatorConfig
from zenml_azureml.plugin.credentials import credential_of
from zenml_azureml.plugin.preflight import refuse_images_without_package, steps_without_operator
from zenml_azureml.plugin.requirements import image_apt_packages, image_requirements
from zenml_azureml.plugin.validation import check_stack
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError, retrying
from zenml_azureml.secrets.known_values import masked
from zenml_azureml.secrets.redaction import redacted_text
from zenml_azureml.settings.merge import merge
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.of_steps import SettingsOfSteps
from zenml_azureml.settings.step_plan import StepPlan
from zenml_azureml.submission.exposure import exposed_settings
from zenml_azureml.submission.job_builder import DOCKER_IMAGE_KEY, job_request

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineSnapshotBase, StepRunResponse
    from zenml.stack import Stack

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.specs.job import JobOptions, JobSpec

logger = get_logger(__name__)

#: The operators of this process.
_operators: WeakSet[AzureMLStepOperator] = WeakSet()


def _alone(error: AzureMLError) -> AzureMLError:
    """Return an error without our frames and its causes, which its text includes: users see one traceback."""
    logger.debug("The error came from:", exc_info=error)
    error.__cause__, error.__suppress_context__ = None, True
    return error.with_traceback(None)


class AzureMLStepOperator(BaseStepOperator):
    """A step operator that runs steps as command jobs of an Azure ML workspace.

    Attributes:
        time: The clock of all operators.
    """

    time: ClassVar[Time] = SYSTEM_TIME

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._warned: set[str] = set()
        self._searched: set[frozenset[str]] = set()
        names = set(AzureMLStepOperatorSettings.model_fields) & self.config.model_fields_set
        self._settings = SettingsOfSteps(self.name, self.config.model_dump(include=names, exclude_none=True))
        self._executions = Executions(self._settings)
        self._make_parts()
        _operators.add(self)
        if ENV_ZENML_STEP_OPERATOR not in os.environ:  # in the job itself there is nothing to cancel
            STOP_SIGNALS.notice()

    def _make_parts(self) -> None:
        """Create the parts that have threads, locks and connections, and belong to one process."""
        self._lock = threading.Lock()
        self._workspaces: dict[Cloud, Workspace] = {}
        self._jobs = AzureJobs(self)
        self._earlier_jobs = EarlierJobs(self, self._operator_of, self.time)
        self._controller = StepController(
            self._executions,
            self._jobs,
            StepSubmitter(self.id, self._jobs),
            Canceller(self._jobs, self.time),
            Publisher(self.id, self._executions, self._jobs, self.time),
            self._earlier_jobs,
            self.time,
        )
        self._supervisor = RunSupervisor(self._executions, self._controller, self.time)

    @property
    def config(self) -> AzureMLStepOperatorConfig:
        """The configuration of this component."""
        return cast("AzureMLStepOperatorConfig", self._config)

    @property
    def settings_class(self) -> type[AzureMLStepOperatorSettings]:
        """The model of its settings for steps."""
        return AzureMLStepOperatorSettings

    @property
    def requirements(self) -> set[str]:
        """The pip requirements for the images of the stack, so that steps find this package there."""
        return image_requirements()

    @property
    def apt_packages(self) -> list[str]:
        """The Debian packages that the images of the stack need for these requirements."""
        return image_apt_packages()

    @property
    def validator(self) -> StackValidator:
        """A check that the stack has everything that jobs on Azure ML need."""

        def check(stack: Stack) -> tuple[bool, str]:
            return check_stack(stack, jobs_run_here=not self.config.is_remote)

        return StackValidator(custom_validation_function=check)

    def get_settings(self, container: Any) -> AzureMLStepOperatorSettings:
        """Return the settings in force for a step: its own ones, merged with this component's configuration.

        Raises:
            AzureMLSettingsError: If the settings are invalid.
        """
        return self._settings.of(container)

    def get_docker_builds(self, snapshot: PipelineSnapshotBase) -> list[BuildConfiguration]:
        """Return the images that the pipeline's steps need. ZenML calls this before a run starts, hence the checks.

        Raises:
            AzureMLSettingsError: If a step's settings are invalid.
            AzureMLError: If an image to build would not contain this package.
        """
        for warning in steps_without_operator(snapshot, self.name, self._settings.defaults):
            self._warn_once(warning)
        builds = []
        for name, step in snapshot.step_configurations.items():
            if step.config.uses_step_operator(self.name):
                self._warn_about(self._settings.plan(step), name)
                builds.append(
                    BuildConfiguration(key=DOCKER_IMAGE_KEY, settings=step.config.docker_settings, step_name=name)
                )
        refuse_images_without_package(builds, self.requirements)
        # ZenML calls this several times for a run, and a large source root takes seconds to look through.
        kinds = source_root.ways_of_code(builds)
        if kinds not in self._searched and (carried := source_root.warning_of(builds)):
            self._warn_once(carried)
        self._searched.add(kinds)
        if builds and not Client().active_stack.orchestrator.config.is_remote:
            preload.begin()  # this process will submit, after it has built the images
        return builds

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Submit a step run as a command job, and return.

        Args:
            info: The step run.
            entrypoint_command: Command of the job.
            environment: Environment variables of the job.

        Raises:
            AzureMLError: If the step cannot be submitted. The reason is published to the server.
            RunStoppedException: If the run was interrupted in this process, since ZenML does not retry this exception.
        """
        try:
            self._submit_and_report(info, entrypoint_command, environment)
        except AzureMLError as error:
            raise _alone(error)  # noqa: B904 - `_alone` removes the causes on purpose

    def _submit_and_report(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        STOP_SIGNALS.notice()
        if warning := STOP_SIGNALS.warning(info.run_name):
            self._warn_once(warning)
        preload.begin()  # at the same time as the requests to ZenML's server
        try:
            step = self._executions.of(info.step_run)
        except AzureMLError as error:
            step_runs.publish_failure(info.step_run, error)
            raise error from error.__cause__
        check = self._controller.checker(step)
        with retrying(self._controller.retries(step, check)):
            try:
                check()
                self._submit(step, info, entrypoint_command, environment, check)
            except ServerUnavailableError:
                raise
            except RunStoppedException:
                self._controller.publish_stopped(step)
                raise
            except AzureMLError as error:
                raise self._controller.fail(step, error) from error.__cause__
            except NotImplementedError as error:
                # ZenML would conclude that this operator has no `submit`.
                raise AzureMLError(f"Failed to submit the step: {error!r}") from error

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Return the step's status, as its job shows it, without waiting for Azure, which a background thread polls."""
        operator = self._operator_of(step_run)
        if operator is not self:
            return operator.get_status(step_run)
        status = self._controller.status(self._executions.of(step_run))
        self._supervisor.watch()
        return status

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the end of a step, and cancel its job if the wait is interrupted.

        Raises:
            AzureMLError: If the step failed. It has the cause, Azure's message, the end of the log and the link.
            RunStoppedException: If the run was stopped.
        """
        try:
            STOP_SIGNALS.notice()
            step = self._executions.of(step_run)
            step.guard = Guard.EXIT  # from now on this thread waits for it
            self._supervisor.watch()
            return self._controller.wait(step)
        except AzureMLError as error:
            raise _alone(error)  # noqa: B904 - `_alone` removes the causes on purpose

    def cancel(self, step_run: StepRunResponse) -> None:
        """Cancel the step's job.

        Raises:
            AzureMLError: If Azure refuses. The message has the command that cancels the job.
        """
        operator = self._operator_of(step_run)
        if operator is not self:
            operator.cancel(step_run)
        else:
            # ZenML calls it in dynamic pipelines only, if one of a run's steps has failed and the mode is FAIL_FAST.
            self._controller.cancel(self._executions.of(step_run), "another step of the run has failed")

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Forget a finished step, and delete the compute created for it if `delete_compute_after` is set."""
        operator = self._operator_of(step_run)
        if operator is not self:
            operator.cleanup_step_submission(step_run)
        else:
            self._controller.clean_up(self._executions.of(step_run))

    def workspace(self, settings: AzureMLStepOperatorSettings) -> Workspace:
        """Return the Azure ML workspace in the cloud of the settings; it connects at the first use.

        Raises:
            AzureMLSettingsError: If there is no such cloud or endpoint.
        """
        from zenml_azureml.azure.client import Workspace
        from zenml_azureml.azure.connection import WorkspaceAddress

        try:
            cloud = cloud_of(settings.cloud, settings.arm_endpoint)
        except ValueError as error:
            raise AzureMLSettingsError(str(error)) from error
        with self._lock:
            if cloud not in self._workspaces:
                address = WorkspaceAddress(
                    subscription_id=self.config.subscription_id,
                    resource_group=self.config.resource_group,
                    name=self.config.workspace_name,
                    cloud=cloud,
                )
                self._workspaces[cloud] = Workspace(address, lambda: credential_of(self, cloud), self.time)
            return self._workspaces[cloud]

    def default_settings(self) -> AzureMLStepOperatorSettings:
        """Return the settings in force for a step without settings of its own."""
        return merge(self._settings.defaults, {})

    def _submit(
        self,
        step: StepExecution,
        info: StepRunInfo,
        entrypoint_command: list[str],
        environment: dict[str, str],
        check: Callable[[], None],
    ) -> None:
        self._warn_about(step.plan, info.pipeline_step_name)
        earlier = self._end_earlier_jobs(step, check)
        # Until a caller waits for the job; in dynamic pipelines none does.
        step.guard = Guard.RUN if info.snapshot.is_dynamic else Guard.SIGNAL
        self._supervisor.watch()
        try:
            if has_moved(step.state.attempts):
                logger.info("The step already has a job: `%s`.", step.job_name)
            else:
                build = partial(
                    job_request, info, entrypoint_command, environment, earlier_checkpoints=earlier.checkpoints
                )
                self._submit_first(step, build, check, earlier.look_again)
            # Watch the job from now on: in dynamic pipelines no caller waits for it, but its log is to be shown.
            self._jobs.watch(step)
            if not info.snapshot.is_dynamic:
                check()
        except BaseException as interruption:
            is_failure = isinstance(interruption, AzureMLError) and not isinstance(interruption, ServerUnavailableError)
            if is_failure or getattr(interruption, "explained", False):  # the step has no job
                step.guard = Guard.NONE
                raise
            # After Ctrl+C, or if the server does not save the job, no caller would wait for a job that exists.
            self._controller.abort_submission(step, interruption)
            unreported = None
            if isinstance(interruption, ServerUnavailableError):
                unreported = self._controller.unreported(step, interruption)
            self.cleanup_step_submission(info.step_run)
            if unreported is not None:
                raise unreported from None
            raise

    def _submit_first(
        self,
        step: StepExecution,
        build: Callable[[JobOptions], JobSpec],
        check: Callable[[], None],
        before: Callable[[], None],
    ) -> None:
        try:
            self._controller.submit(step, build, check, before)
        except AzureMLError as error:
            from zenml_azureml.azure.retry import is_transient

            if not is_transient(error):  # Azure has refused the job, so a retry of the step finds no earlier job
                self._earlier_jobs.note_end(step.step_run)
            raise

    def _end_earlier_jobs(self, step: StepExecution, check: Callable[[], None]) -> Ended:
        """Cancel unfinished jobs of earlier step runs of a step."""

        def check_run_too() -> None:
            check()
            self._controller.check_not_stopping(step)

        try:
            return self._earlier_jobs.end(step.step_run, check_run_too)
        except BaseException as interruption:
            self._controller.note_interruption(step, interruption)
            raise

    def _warn_about(self, plan: StepPlan, step_name: str) -> None:
        """Warn about exposed secrets and ignored settings of a step.

        Raises:
            AzureMLSettingsError: If the settings hold secrets in public fields.
        """
        for warning in exposed_settings(plan.settings):
            self._warn_once(warning)
        for target, warning in plan.warnings():
            where = f", `fallback[{target - 1}]`" if target else ""
            self._warn_once(f"Step `{step_name}`{where}: {warning}")

    def _operator_of(self, step_run: StepRunResponse) -> BaseStepOperator:
        """Return the operator that runs a step: ZenML's dynamic runner calls the stack's default one for every step."""
        name = step_run.config.step_operator
        if not isinstance(name, str) or name == self.name:
            return self
        return Client().active_stack.step_operators.get(name, self)

    def _warn_once(self, warning: str) -> None:
        if warning not in self._warned:
            self._warned.add(warning)
            logger.warning("%s", redacted_text(masked(warning)))


def _make_parts_of_child() -> None:
    """Give a forked child parts of its own. Only the parent cancels the jobs that it guards."""
    STOP_SIGNALS.guards.clear()
    for operator in _operators:
        operator._executions.abandon()
        operator._make_parts()


os.register_at_fork(after_in_child=_make_parts_of_child)
