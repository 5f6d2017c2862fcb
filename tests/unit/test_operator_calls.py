"""What ZenML calls on the step operator, and what the operator has its parts do."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from zenml.config import DockerSettings
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.enums import ExecutionStatus, StackComponentType

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml import AzureMLStepOperator, AzureMLStepOperatorConfig, AzureMLStepOperatorSettings, step_operator
from zenml_azureml.azure.sdk import preload
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.execution import Guard
from zenml_azureml.lifecycle.stop_signals import STOP_SIGNALS
from zenml_azureml.plugin import source_root
from zenml_azureml.run_store import step_runs
from zenml_azureml.secrets.known_values import remember
from zenml_azureml.settings.step_plan import plan_of
from zenml_azureml.submission.job_builder import DOCKER_IMAGE_KEY, JobBuilder


class Signals:
    """The signals of a process, which no handler is set for."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls
        self.guards: set[Any] = set()

    def notice(self) -> None:
        self.calls.append("notice the signals")

    def warning(self, run: str) -> str:
        return f"Nothing notices the signals of {run}."

    def checker(self) -> Any:
        return lambda: None


def operator_named(name: str, **config: Any) -> AzureMLStepOperator:
    now = datetime.now(timezone.utc)
    return AzureMLStepOperator(
        name=name,
        id=uuid4(),
        config=AzureMLStepOperatorConfig(subscription_id="s", resource_group="r", workspace_name="w", **config),
        flavor="azureml",
        type=StackComponentType.STEP_OPERATOR,
        user=None,
        created=now,
        updated=now,
    )


class Called:
    """An operator whose parts note what they are asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Any] = []
        self.world = World(Clock())
        self.step = self.world.step
        self.world.step_run.config.step_operator = "azureml"
        self.error: Exception | None = None
        self.status = ExecutionStatus.RUNNING
        monkeypatch.setattr(step_operator, "STOP_SIGNALS", Signals(self.calls))
        monkeypatch.setattr(preload, "begin", lambda: self.calls.append("preload"))
        self.operator = operator_named("azureml")
        self.calls.clear()
        parts: dict[str, Any] = {
            "_executions": SimpleNamespace(of=self._of, abandon=lambda: self.calls.append("abandon")),
            "_submission": SimpleNamespace(submit=self._submit),
            "_supervisor": SimpleNamespace(watch=lambda: self.calls.append(f"watch, guard {self.step.guard.name}")),
            "_executor": SimpleNamespace(clean_up=lambda _step: self.calls.append("clean up")),
            "_controller": SimpleNamespace(
                status=lambda _step: self.status,
                wait=self._wait,
                cancel=lambda _step, reason: self.calls.append(f"cancel: {reason}"),
            ),
        }
        for name, part in parts.items():
            monkeypatch.setattr(self.operator, name, part)

    @property
    def step_run(self) -> Any:
        return self.world.step_run

    def info(self, *, is_dynamic: bool = False) -> Any:
        return SimpleNamespace(
            step_run=self.step_run,
            pipeline_step_name="train",
            run_name="my-run",
            snapshot=SimpleNamespace(is_dynamic=is_dynamic),
        )

    def _of(self, step_run: Any) -> Any:
        assert step_run is self.step_run
        if isinstance(self.error, AzureMLError) and self.error.summary == "Wrong settings.":
            raise self.error
        return self.step

    def _submit(self, step: Any, build: Any, *, is_dynamic: bool) -> None:
        assert step is self.step
        self.calls.append(("submit", is_dynamic, build))
        if self.error is not None:
            raise self.error

    def _wait(self, _step: Any) -> ExecutionStatus:
        self.calls.append("wait")
        if self.error is not None:
            raise self.error
        return ExecutionStatus.COMPLETED


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    return Called(monkeypatch)


def failing(summary: str) -> AzureMLError:
    try:
        try:
            raise ValueError("a cause with frames of its own")
        except ValueError as cause:
            raise AzureMLError(summary) from cause
    except AzureMLError as error:
        return error


def is_alone(error: BaseException) -> bool:
    """True if users see the error with neither its causes nor the frames that raised it."""
    frames = 0
    traceback = error.__traceback__
    while traceback is not None:
        frames += 1
        traceback = traceback.tb_next
    return error.__cause__ is None and error.__suppress_context__ and frames <= 2


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_a_step_is_submitted_with_the_signals_noticed(is_dynamic: bool, called: Called) -> None:
    called.operator.submit(called.info(is_dynamic=is_dynamic), ["python", "-m", "train"], {"A": "1"})

    *before, (submit, dynamic, build) = called.calls
    assert before == ["notice the signals", "preload"]
    assert (submit, dynamic) == ("submit", is_dynamic)
    info = called.info(is_dynamic=is_dynamic)
    assert build == JobBuilder(info, ["python", "-m", "train"], {"A": "1"}, "azureml")


def test_signals_that_nothing_notices_are_said_once(called: Called, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        called.operator.submit(called.info(), [], {})

    assert caplog.messages == ["Nothing notices the signals of my-run."]


@pytest.mark.parametrize("call", ["submit", "wait"])
def test_an_error_reaches_users_alone(call: str, called: Called) -> None:
    called.error = failing("Azure refuses it.")
    with pytest.raises(AzureMLError, match="Azure refuses it") as raised:
        called.operator.submit(called.info(), [], {}) if call == "submit" else called.operator.wait(called.step_run)

    assert raised.value is called.error
    assert is_alone(raised.value)


def test_settings_that_are_wrong_fail_the_step_on_the_server_too(
    called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    monkeypatch.setattr(step_runs, "publish_failure", lambda *arguments: published.append(arguments))
    called.error = failing("Wrong settings.")
    with pytest.raises(AzureMLError, match="Wrong settings"):
        called.operator.submit(called.info(), [], {})

    assert published == [(called.step_run, called.error)]
    assert not [call for call in called.calls if call[0] == "submit"]


def test_a_caller_that_waits_guards_the_step_until_the_exit_of_the_process(called: Called) -> None:
    assert called.operator.wait(called.step_run) is ExecutionStatus.COMPLETED

    assert called.calls == ["notice the signals", "watch, guard EXIT", "wait"]
    assert called.step.guard is Guard.EXIT


def test_the_status_of_a_step_is_the_controllers(called: Called) -> None:
    assert called.operator.get_status(called.step_run) is ExecutionStatus.RUNNING
    assert called.calls == ["watch, guard NONE"]


def test_a_step_is_cancelled_because_another_one_has_failed(called: Called) -> None:
    called.operator.cancel(called.step_run)

    assert called.calls == ["cancel: another step of the run has failed"]


def test_a_step_that_is_over_is_cleaned_up(called: Called) -> None:
    called.operator.cleanup_step_submission(called.step_run)

    assert called.calls == ["clean up"]


class Other:
    """The other operator of a stack."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def get_status(self, _step_run: Any) -> ExecutionStatus:
        self.calls.append("status")
        return ExecutionStatus.COMPLETED

    def cancel(self, _step_run: Any) -> None:
        self.calls.append("cancel")

    def cleanup_step_submission(self, _step_run: Any) -> None:
        self.calls.append("clean up")


@pytest.mark.parametrize(
    ("name", "is_others"),
    [("other", True), ("azureml", False), (True, False), (None, False), ("not-in-the-stack", False)],
)
def test_a_step_of_another_operator_is_left_to_it(
    name: Any, is_others: bool, called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Other()
    operators = {"other": other, "azureml": called.operator}
    stack = SimpleNamespace(step_operators=operators)
    monkeypatch.setattr(step_operator, "Client", lambda: SimpleNamespace(active_stack=stack))
    called.step_run.config.step_operator = name

    found = called.operator.get_status(called.step_run)
    called.operator.cancel(called.step_run)
    called.operator.cleanup_step_submission(called.step_run)

    assert found is (ExecutionStatus.COMPLETED if is_others else ExecutionStatus.RUNNING)
    assert other.calls == (["status", "cancel", "clean up"] if is_others else [])
    assert bool(called.calls) is not is_others


# Before a run.


@pytest.mark.parametrize("is_remote", [True, False])
def test_the_stack_is_checked_for_what_jobs_need(
    is_remote: bool, called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []

    def check(stack: Any, *, jobs_run_here: bool) -> tuple[bool, str]:
        checked.append((stack, jobs_run_here))
        return False, "no container registry"

    monkeypatch.setattr(step_operator, "check_stack", check)
    monkeypatch.setattr(type(called.operator.config), "is_remote", property(lambda _self: is_remote))
    validator = called.operator.validator
    assert validator is not None
    check_of_stack = cast("Any", validator)._custom_validation_function

    assert check_of_stack("the stack") == (False, "no container registry")
    assert checked == [("the stack", not is_remote)]


class Step:
    """A step of a pipeline as it is compiled."""

    def __init__(self, *, is_ours: bool, command: list[str] | None = None) -> None:
        self.config = SimpleNamespace(
            uses_step_operator=lambda name: is_ours and name == "azureml",
            docker_settings=DockerSettings(),
            command=command,
        )


@pytest.fixture
def planned(called: Called, monkeypatch: pytest.MonkeyPatch) -> Called:
    """An operator that is asked for the builds of a pipeline; the plans of steps have no warnings."""
    orchestrator = SimpleNamespace(flavor="local", config=SimpleNamespace(is_remote=False))
    stack = SimpleNamespace(orchestrator=orchestrator)
    monkeypatch.setattr(step_operator, "Client", lambda: SimpleNamespace(active_stack=stack))
    monkeypatch.setattr(step_operator, "pipeline_warnings", lambda *_: ["A warning of the pipeline."])
    monkeypatch.setattr(
        step_operator, "refuse_images_without_package", lambda builds, _: called.calls.append(f"{len(builds)} builds")
    )
    monkeypatch.setattr(called.operator, "_settings", SimpleNamespace(plan=lambda _step: called.step.plan))
    called.orchestrator = orchestrator  # type: ignore[attr-defined]
    return called


def builds_of(called: Called, **steps: Step) -> list[str]:
    builds = called.operator.get_docker_builds(cast("Any", SimpleNamespace(step_configurations=steps)))
    assert all(build.key == DOCKER_IMAGE_KEY for build in builds)
    return [str(build.step_name) for build in builds]


def test_the_steps_of_this_operator_get_images_and_the_others_none(
    planned: Called, caplog: pytest.LogCaptureFixture
) -> None:
    assert builds_of(planned, train=Step(is_ours=True), load=Step(is_ours=False)) == ["train"]

    assert planned.calls == ["1 builds", "preload"]
    assert caplog.messages == ["A warning of the pipeline."]


def test_what_submits_elsewhere_and_pipelines_without_such_steps_load_nothing_ahead(planned: Called) -> None:
    assert builds_of(planned, load=Step(is_ours=False)) == []
    cast("Any", planned).orchestrator.config.is_remote = True
    assert builds_of(planned, train=Step(is_ours=True)) == ["train"]

    assert "preload" not in planned.calls


def test_a_command_step_that_cannot_be_held_gets_a_warning_once(
    planned: Called, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = AzureMLStepOperatorSettings(hold_on_failure_minutes=30, services={"code": {"type": "vs_code"}})
    monkeypatch.setattr(planned.operator, "_settings", SimpleNamespace(plan=lambda _step: plan_of(settings)))

    for _ in range(2):
        builds_of(planned, train=Step(is_ours=True), prepare=Step(is_ours=True, command=["make", "data"]))

    said = [message for message in caplog.messages if "hold_on_failure_minutes" in message]
    assert said == [
        "Step `prepare`: `hold_on_failure_minutes` is ignored: it applies to the failure of a function, "
        "and a command step has none."
    ]


def test_the_warnings_of_a_steps_settings_name_the_step_and_the_fallback(
    planned: Called, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = SimpleNamespace(settings=planned.step.plan.settings, warnings=lambda: [(0, "one"), (2, "two")])
    monkeypatch.setattr(planned.operator, "_settings", SimpleNamespace(plan=lambda _step: plan))
    monkeypatch.setattr(step_operator, "exposed_settings", lambda _settings: ["A setting may hold a secret."])
    builds_of(planned, train=Step(is_ours=True))

    assert caplog.messages == [
        "A warning of the pipeline.",
        "A setting may hold a secret.",
        "Step `train`: one",
        "Step `train`, `fallback[1]`: two",
    ]


def test_no_warning_shows_a_known_secret(
    planned: Called, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remember(["a-secret-in-a-setting"])
    warning = "`docker_args` has a-secret-in-a-setting."
    plan = SimpleNamespace(settings=planned.step.plan.settings, warnings=lambda: [(0, warning)])
    monkeypatch.setattr(planned.operator, "_settings", SimpleNamespace(plan=lambda _step: plan))
    builds_of(planned, train=Step(is_ours=True))

    assert any("Step `train`: `docker_args` has" in message for message in caplog.messages)
    assert "a-secret-in-a-setting" not in caplog.text


def test_a_source_root_is_looked_through_once_for_each_way_of_code(
    planned: Called, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ways, looked = [frozenset({"upload"})], list[Any]()
    monkeypatch.setattr(source_root, "ways_of_code", lambda _builds: ways[-1])

    def warning_of(_builds: Any) -> str:
        looked.append(ways[-1])
        return "The source root is large." if "upload" in ways[-1] else ""

    monkeypatch.setattr(source_root, "warning_of", warning_of)
    for _ in range(2):
        builds_of(planned, train=Step(is_ours=True))
    ways.append(frozenset({"image"}))
    builds_of(planned, train=Step(is_ours=True))

    assert looked == ways
    assert caplog.messages == ["A warning of the pipeline.", "The source root is large."]


# Processes.


@pytest.mark.parametrize("in_job", [True, False])
def test_the_signals_of_a_job_are_the_steps_own(in_job: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(step_operator, "STOP_SIGNALS", Signals(calls))
    monkeypatch.delenv(ENV_ZENML_STEP_OPERATOR, raising=False)
    if in_job:
        monkeypatch.setenv(ENV_ZENML_STEP_OPERATOR, "true")
    operator_named("azureml")

    assert ("notice the signals" in calls) is not in_job


def test_a_forked_child_has_parts_of_its_own_and_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = operator_named("azureml")
    step = operator._executions._steps.setdefault(uuid4(), World(Clock()).step)
    step.guard = Guard.RUN
    before = (operator._supervisor, operator._submission, operator._controller, operator.workspaces)
    guards = set(STOP_SIGNALS.guards)
    child = os.fork()
    if child == 0:
        after = (operator._supervisor, operator._submission, operator._controller, operator.workspaces)
        has_new = not any(one is other for one, other in zip(before, after, strict=True))
        is_right = has_new and step.guard is Guard.NONE and before[0] not in STOP_SIGNALS.guards
        os._exit(0 if is_right and operator._supervisor in STOP_SIGNALS.guards else 1)
    _, status = os.waitpid(child, 0)
    step.guard = Guard.NONE

    assert os.waitstatus_to_exitcode(status) == 0
    assert before[0] in guards
    assert operator._supervisor is before[0]
