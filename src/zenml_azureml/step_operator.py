"""`AzureMLStepOperator`, the class that ZenML calls.

Thread-safe, since ZenML uses one operator from many threads: its parts are, and the set of warnings is only added to.

Fork-safe: a forked child has none of its parent's threads, and locks may be held, so it gets new parts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakSet

from zenml.client import Client
from zenml.config.build_configuration import BuildConfiguration
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.enums import ExecutionStatus
from zenml.logger import get_logger
from zenml.stack import Stack, StackValidator
from zenml.step_operators import BaseStepOperator

from zenml_azureml.azure.sdk import preload
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.action_executor import ActionExecutor
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import Canceller
from zenml_azureml.lifecycle.controller import StepController
from zenml_azureml.lifecycle.cost_guard import CostGuard
from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs
from zenml_azureml.lifecycle.execution import Executions, Guard
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.step_checks import StepChecks
from zenml_azureml.lifecycle.step_submission import StepSubmission
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.lifecycle.submitter import StepSubmitter
from zenml_azureml.lifecycle.supervisor import RunSupervisor
from zenml_azureml.plugin import source_root, surroundings
from zenml_azureml.plugin.config import AzureMLStepOperatorConfig
from zenml_azureml.plugin.preflight import hold_warning, pipeline_warnings, refuse_images_without_package
from zenml_azureml.plugin.requirements import image_apt_packages, image_requirements
from zenml_azureml.plugin.validation import check_stack
from zenml_azureml.plugin.workspaces import OperatorWorkspaces
from zenml_azureml.run_store import step_runs
from zenml_azureml.secrets.known_values import masked
from zenml_azureml.secrets.redaction import redacted_text
from zenml_azureml.settings.merge import merge
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.of_steps import SettingsOfSteps
from zenml_azureml.settings.step_plan import StepPlan
from zenml_azureml.submission.exposure import exposed_settings
from zenml_azureml.submission.job_builder import DOCKER_IMAGE_KEY, JobBuilder

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineSnapshotBase, StepRunResponse

    from zenml_azureml.azure.client import Workspace

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
        workspaces: Its workspaces.
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
        surroundings.report(self.name)
        if ENV_ZENML_STEP_OPERATOR not in os.environ:  # in the job itself there is nothing to cancel
            STOP_SIGNALS.notice()

    def _make_parts(self) -> None:
        """Create the parts that have threads, locks and connections, and belong to one process."""
        self.workspaces = OperatorWorkspaces(self, self._settings, self.time)
        executions, time = self._executions, self.time
        jobs = AzureJobs(self.workspaces)
        self._executor = ActionExecutor(
            executions,
            jobs,
            StepSubmitter(self.id, jobs, CostGuard(executions, jobs, time)),
            Canceller(jobs, time),
            Publisher(self.id, executions, jobs, time),
            EarlierJobs(self.workspaces, time),
            StepChecks(executions, time),
            time,
        )
        self._controller = StepController(self._executor)
        self._supervisor = RunSupervisor(executions, self._controller, time)
        self._submission = StepSubmission(self._executor, self._supervisor)

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
        orchestrator = Client().active_stack.orchestrator
        for warning in pipeline_warnings(snapshot, self.name, self._settings, orchestrator.flavor):
            self._warn_once(warning)
        builds = []
        for name, step in snapshot.step_configurations.items():
            if step.config.uses_step_operator(self.name):
                plan = self._settings.plan(step)
                self._warn_about(plan, name)
                self._warn_once(hold_warning(name, step.config, plan.settings))
                builds.append(
                    BuildConfiguration(key=DOCKER_IMAGE_KEY, settings=step.config.docker_settings, step_name=name)
                )
        refuse_images_without_package(builds, self.requirements)
        # ZenML calls this several times for a run, and a large source root takes seconds to look through.
        kinds = source_root.ways_of_code(builds)
        if kinds not in self._searched:
            self._warn_once(source_root.warning_of(builds))
        self._searched.add(kinds)
        if builds and not orchestrator.config.is_remote:
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
        STOP_SIGNALS.notice()
        self._warn_once(STOP_SIGNALS.warning(info.run_name))
        preload.begin()  # at the same time as the requests to ZenML's server
        try:
            try:
                step = self._executions.of(info.step_run)
                self._warn_about(step.plan, info.pipeline_step_name)
            except AzureMLError as error:
                step_runs.publish_failure(info.step_run, error)
                raise
            builder = JobBuilder(info, entrypoint_command, environment, self.name)
            self._submission.submit(step, builder, is_dynamic=info.snapshot.is_dynamic)
        except AzureMLError as error:
            raise _alone(error)  # noqa: B904 - `_alone` removes the causes on purpose

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
            self._executor.clean_up(self._executions.of(step_run))

    def workspace(self, settings: AzureMLStepOperatorSettings) -> Workspace:
        """Return the Azure ML workspace in the cloud of the settings; it connects at the first use.

        Raises:
            AzureMLSettingsError: If there is no such cloud or endpoint.
        """
        return self.workspaces.workspace(settings)

    def default_settings(self) -> AzureMLStepOperatorSettings:
        """Return the settings in force for a step without settings of its own."""
        return merge(self._settings.defaults, {})

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

    def _warn_once(self, warning: str | None) -> None:
        if warning and warning not in self._warned:
            self._warned.add(warning)
            logger.warning("%s", redacted_text(masked(warning)))


def _make_parts_of_child() -> None:
    """Give a forked child parts of its own. Only the parent cancels the jobs that it guards."""
    STOP_SIGNALS.guards.clear()
    for operator in _operators:
        operator._executions.abandon()
        operator._make_parts()


os.register_at_fork(after_in_child=_make_parts_of_child)
