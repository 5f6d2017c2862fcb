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
from uuid import UUID
from weakref import WeakSet

from zenml.client import Client
from zenml.config.build_configuration import BuildConfiguration
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException
from zenml.logger import get_logger
from zenml.stack import StackValidator
from zenml.step_operators import BaseStepOperator

from zenml_azureml import tags
from zenml_azureml.azure.sdk import preload
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.clouds import Cloud, cloud_of
from zenml_azureml.exceptions import AzureMLError, AzureMLSettingsError
from zenml_azureml.lifecycle.attempts import Attempts, has_moved
from zenml_azureml.lifecycle.canceller import SUBMIT_LAG, Canceller
from zenml_azureml.lifecycle.controller import StepController
from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs, Ended
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
from zenml_azureml.settings.models import AzureMLStepOperatorSettings, step_settings
from zenml_azureml.settings.step_plan import StepPlan, plan_of
from zenml_azureml.submission.exposure import exposed_settings
from zenml_azureml.submission.job_builder import DOCKER_IMAGE_KEY, job_request

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineSnapshotBase, StepRunResponse
    from zenml.stack import Stack

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.handle import JobHandle
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
        self._attempts = Attempts()
        self._plans: dict[UUID, StepPlan] = {}
        self._make_parts()
        _operators.add(self)
        if ENV_ZENML_STEP_OPERATOR not in os.environ:  # in the job itself there is nothing to cancel
            STOP_SIGNALS.notice()

    def _make_parts(self) -> None:
        """Create the parts that have threads, locks and connections, and belong to one process."""
        self._lock = threading.Lock()
        self._workspaces: dict[Cloud, Workspace] = {}
        self._moves = StepSubmitter(self, self._attempts, self.time)
        self._ending = Canceller(
            partial(self._watch, quietly=True),
            self._workspace_of,
            self.time,
            self._attempts.job_name,
            self._drop_secret,
        )
        self._guard = RunSupervisor(self._end_runs, self.time)
        self._earlier_jobs = EarlierJobs(self, self._operator_of, self.time)
        self._following = StepController(
            self._moves,
            self._ending,
            self._guard,
            self._watch,
            drop_secret=self._drop_secret,
            time=self.time,
            note_end=self._earlier_jobs.note_end,
        )

    def _end_runs(self, ended: list[StepRunResponse], reason: str) -> None:
        self._following.end_runs(ended, reason)

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

        With ZenML's own merge, defaults of the step's settings override values of the configuration.

        Raises:
            AzureMLSettingsError: If the settings are invalid.
        """
        own = container.config if hasattr(container, "config") else container.pipeline_configuration
        return merge(self._defaults, step_settings(own.settings, self.name))

    def plan(self, step_run: StepRunResponse) -> StepPlan:
        """Return the settings in force for a step run, resolved at the first call.

        Raises:
            AzureMLSettingsError: If the settings are invalid.
        """
        plan = self._plans.get(step_run.id)
        if plan is None:
            plan = self._plans[step_run.id] = plan_of(self.get_settings(step_run))
        return plan

    def get_docker_builds(self, snapshot: PipelineSnapshotBase) -> list[BuildConfiguration]:
        """Return the images that the pipeline's steps need. ZenML calls this before a run starts, hence the checks.

        Raises:
            AzureMLSettingsError: If a step's settings are invalid.
            AzureMLError: If an image to build would not contain this package.
        """
        for warning in steps_without_operator(snapshot, self.name, self._defaults):
            self._warn_once(warning)
        builds = []
        for name, step in snapshot.step_configurations.items():
            if step.config.uses_step_operator(self.name):
                self._warn_about(plan_of(self.get_settings(step)), name)
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
        check = self._ending.checker(info.run_id)
        try:
            check()
            with retrying(self._following.retries(info.step_run, check)):
                self._submit(info, entrypoint_command, environment, check)
        except ServerUnavailableError:
            raise
        except RunStoppedException:
            self._following.publish_stopped(info.step_run)
            raise
        except AzureMLError as error:
            with retrying(self._following.retries(info.step_run, check)):
                raise self._following.publish_failure(info.step_run, error) from error.__cause__
        except NotImplementedError as error:
            # ZenML would conclude that this operator has no `submit`.
            raise AzureMLError(f"Failed to submit the step: {error!r}") from error

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Return the step's status, as its job shows it, without waiting for Azure, which a background thread polls."""
        operator = self._operator_of(step_run)
        if operator is not self:
            return operator.get_status(step_run)
        return self._following.status(step_run)

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the end of a step, and cancel its job if the wait is interrupted.

        Raises:
            AzureMLError: If the step failed. It has the cause, Azure's message, the end of the log and the link.
            RunStoppedException: If the run was stopped.
        """
        try:
            return self._following.wait(step_run)
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
            self._ending.cancel(step_run, "another step of the run has failed")

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """Forget a finished step, and delete the compute created for it if `delete_compute_after` is set."""
        operator = self._operator_of(step_run)
        if operator is not self:
            operator.cleanup_step_submission(step_run)
        else:
            self._guard.clean_up(step_run.id)
            self._ending.forget(step_run.id)
            self._drop_secret(step_run)
            try:
                self._moves.release(step_run)
            finally:
                self._following.forget(step_run.id)
                self._plans.pop(step_run.id, None)
                if not self._guard.watches(step_run.id):  # otherwise the name of its job is needed at exit
                    self._attempts.forget(step_run.id)

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
        return merge(self._defaults, {})

    @property
    def _defaults(self) -> dict[str, Any]:
        """The settings in the configuration of this component, which apply to all of its steps."""
        names = set(AzureMLStepOperatorSettings.model_fields) & self.config.model_fields_set
        return self.config.model_dump(include=names, exclude_none=True)

    def _submit(
        self,
        info: StepRunInfo,
        entrypoint_command: list[str],
        environment: dict[str, str],
        check: Callable[[], None],
    ) -> None:
        self._warn_about(self.plan(info.step_run), info.pipeline_step_name)
        earlier = self._end_earlier_jobs(info.step_run, check)
        # Until a caller waits for the job; in dynamic pipelines none does.
        self._guard.take(info.step_run, dynamic=info.snapshot.is_dynamic)
        try:
            if has_moved(self._attempts.of(info.step_run)):
                logger.info("The step already has a job: `%s`.", self._attempts.job_name(info.step_run))
            else:
                request = partial(
                    job_request, info, entrypoint_command, environment, earlier_checkpoints=earlier.checkpoints
                )
                self._submit_first(info.step_run, request, check, earlier.look_again)
            # Watch the job from now on: in dynamic pipelines no caller waits for it, but its log is to be shown.
            self._watch(info.step_run)
            if info.snapshot.is_dynamic:
                self._ending.end_if_interrupted(info.step_run, check)
            else:
                check()
        except BaseException as interruption:
            if isinstance(interruption, AzureMLError) and not isinstance(interruption, ServerUnavailableError):
                self._guard.release(info.step_run_id)
                raise
            # After Ctrl+C, or if the server does not save the job, no caller would wait for a job that exists.
            self._ending.note_interruption(interruption, info.run_id)
            self._following.end(info.step_run, look_for=SUBMIT_LAG)
            unreported = None
            if isinstance(interruption, ServerUnavailableError):
                unreported = self._following.unreported(info.step_run, interruption)
            self.cleanup_step_submission(info.step_run)
            if unreported is not None:
                raise unreported from None
            raise

    def _submit_first(
        self,
        step_run: StepRunResponse,
        request: Callable[[JobOptions], JobSpec],
        check: Callable[[], None],
        before: Callable[[], None],
    ) -> None:
        try:
            self._moves.submit(step_run, request, check, before)
        except AzureMLError as error:
            from zenml_azureml.azure.retry import is_transient

            if not is_transient(error):  # Azure has refused the job, so a retry of the step finds no earlier job
                self._earlier_jobs.note_end(step_run)
            raise

    def _end_earlier_jobs(self, step_run: StepRunResponse, check: Callable[[], None]) -> Ended:
        """Cancel unfinished jobs of earlier step runs of a step."""

        def check_run_too() -> None:
            check()
            self._following.check_not_stopping(step_run)

        try:
            return self._earlier_jobs.end(step_run, check_run_too)
        except BaseException as interruption:
            self._ending.note_interruption(interruption, step_run.pipeline_run_id)
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

    def _watch(self, step_run: StepRunResponse, *, quietly: bool = False) -> JobHandle:
        """Return the job of a step run, and start to watch it; `quietly` has no effect on a job that is watched."""
        from zenml_azureml.azure.jobs.watch import WatchOptions

        def show(line: str) -> None:
            logger.info("[%s] %s", step_run.name, masked(line))

        plan = self.plan(step_run)
        shown = show if plan.settings.stream_logs and not quietly else None
        return self.workspace(plan.settings).watch(
            self._attempts.job_name(step_run),
            WatchOptions(
                tag=tags.of_run(step_run.pipeline_run_id),
                patience=plan.unreachable_timeout,
                studio_url=self._attempts.studio_url(step_run),
                on_line=shown,
                on_progress=shown,
                processes_per_node=plan.processes_per_node,
            ),
        )

    def _drop_secret(self, step_run: StepRunResponse, *, in_background: bool = False) -> None:
        """Delete the secret of a step run's job in a key vault."""
        recorded, job_name = step_runs.recorded_vault_secret(step_run), self._attempts.job_name(step_run)
        self._workspace_of(step_run).drop_secret(job_name, recorded, in_background=in_background)

    def _workspace_of(self, step_run: StepRunResponse) -> Workspace:
        return self.workspace(self.plan(step_run).settings)

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
        operator._guard.abandon()
        operator._make_parts()


os.register_at_fork(after_in_child=_make_parts_of_child)
