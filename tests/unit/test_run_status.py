"""What the commands report to ZenML's server about runs whose orchestrator is gone, and what they leave to others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from zenml.enums import ExecutionStatus, StackComponentType
from zenml.exceptions import IllegalOperationError

from tests.unit.lifecycle.world import Clock
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin import run_status
from zenml_azureml.run_store import step_runs

RUN = uuid4()
REASON = AzureMLError("The run was stopped.")
FINISHED = [status for status in ExecutionStatus if status.is_finished]
S = ExecutionStatus


def step(status: ExecutionStatus, command: object = None, operator: object = "azureml") -> Any:
    config = SimpleNamespace(command=command, step_operator=operator)
    return SimpleNamespace(id=uuid4(), name="train", status=status, config=config, run_metadata={})


class Server:
    """A ZenML server with one run.

    Attributes:
        run: The run.
        published: What was reported to it, in order.
        on_publish: What happens when the status of a step is reported.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, status: ExecutionStatus, *steps: Any, flavor: str = "local"
    ) -> None:
        orchestrator = [SimpleNamespace(flavor_name=flavor)]
        self.run: Any = SimpleNamespace(
            id=RUN,
            name="run",
            status=status,
            steps={f"step_{number}": each for number, each in enumerate(steps)},
            stack=SimpleNamespace(components={StackComponentType.ORCHESTRATOR: orchestrator}),
        )
        self.published: list[Any] = []
        self.on_publish: Callable[[], None] = lambda: None
        self.refuses = False
        monkeypatch.setattr(run_status, "Client", lambda: self)
        monkeypatch.setattr(run_status, "publish_pipeline_run_status_update", self.update)
        for end in ("publish_stopped", "publish_completed", "publish_failure"):
            monkeypatch.setattr(step_runs, end, lambda *given, end=end: self.end(end, *given))

    def get_pipeline_run(self, run: object, allow_name_prefix_match: bool = True) -> Any:
        if run not in (RUN, "run"):
            raise KeyError(run)
        assert run == RUN or not allow_name_prefix_match
        return SimpleNamespace(**vars(self.run))

    def get_run_step(self, step_run_id: UUID, hydrate: bool = True) -> Any:
        for each in self.run.steps.values():
            if each.id == step_run_id:
                return each
        raise KeyError(step_run_id)

    def update(self, run_id: UUID, status: ExecutionStatus, status_reason: str | None = None) -> Any:
        assert run_id == RUN
        if self.refuses:
            raise IllegalOperationError("the run is finished")
        self.published.append((status, status_reason))
        self.run.status = status
        return self.get_pipeline_run(RUN)

    def end(self, how: str, step_run: Any, error: AzureMLError | None = None) -> None:
        self.published.append((how, step_run.id, error))
        self.on_publish()


@pytest.mark.parametrize("status", S)
def test_only_a_run_that_is_neither_over_nor_stopping_is_asked_to_stop(
    status: ExecutionStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(monkeypatch, status)

    run_status.ask_to_stop(server.run)

    is_asked = not status.is_finished and status is not S.STOPPING
    assert server.published == ([(S.STOPPING, "Its Azure ML jobs are being cancelled.")] if is_asked else [])


@pytest.mark.parametrize("status", S)
def test_a_step_that_has_ended_is_not_reported_again(status: ExecutionStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    train = step(status)
    server = Server(monkeypatch, S.RUNNING, train)

    run_status.mark_step_stopped(train.id, REASON)
    assert server.published == ([] if status.is_finished else [("publish_stopped", train.id, REASON)])

    server.published.clear()
    run_status.publish_step_end(train.id, JobSnapshot("zenml-1", "Failed", {}), by_command=False)
    assert len(server.published) == (not status.is_finished)


def test_a_step_that_the_server_does_not_know_any_more_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, S.RUNNING)

    run_status.mark_step_stopped(uuid4(), REASON)
    run_status.publish_step_end(uuid4(), JobSnapshot("zenml-1", "Failed", {}), by_command=False)

    assert server.published == []


@pytest.mark.parametrize(
    ("status", "command", "by_command", "how", "words"),
    [
        ("Canceled", None, False, "publish_stopped", "The Azure ML job `zenml-1` was cancelled."),
        ("Canceled", ["true"], True, "publish_stopped", "was cancelled with `zenml-azureml jobs cancel`."),
        ("Completed", ["true"], False, "publish_completed", ""),
        (
            "Completed",
            None,
            False,
            "publish_failure",
            "ended (Completed), but the step's end was not reported to ZenML.",
        ),
        ("Failed", ["true"], False, "publish_failure", "ended (Failed), but the step's end was not reported to ZenML."),
    ],
)
def test_the_end_of_a_job_is_the_end_of_its_step(
    status: str, command: object, by_command: bool, how: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = step(S.RUNNING, command)
    server = Server(monkeypatch, S.RUNNING, train)

    run_status.publish_step_end(train.id, JobSnapshot("zenml-1", status, {}), by_command=by_command)

    ((found, step_run_id, error),) = server.published
    assert (found, step_run_id) == (how, train.id)
    assert words in str(error or "")
    assert ("zenml-azureml jobs show zenml-1" in str(error)) is (how == "publish_failure")


def test_only_steps_of_our_operators_without_a_job_are_reported_as_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    lost, other = step(S.RUNNING), step(S.RUNNING, operator="vertex")
    over, with_job, unlisted = step(S.COMPLETED), step(S.RUNNING), step(S.RUNNING)
    server = Server(monkeypatch, S.STOPPING, over, other, with_job, unlisted, lost)
    jobs = {step_runs.recorded_job_name(unlisted): "a job"}
    place = SimpleNamespace(operator="azureml", workspace=SimpleNamespace(find_job=jobs.get))
    nameless = SimpleNamespace(operator="", workspace=SimpleNamespace(find_job=jobs.get))

    run_status.steps_without_job_ended(RUN, cast("Any", [nameless, place]), {str(with_job.id)})

    assert [(how, step_run_id) for how, step_run_id, _ in server.published] == [("publish_stopped", lost.id)]


def test_a_run_is_stopped_once_all_of_its_steps_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, S.RUNNING, step(S.COMPLETED), step(S.STOPPED))

    assert run_status.mark_run_stopped(RUN).status is S.STOPPED
    assert [status for status, _ in server.published] == [S.STOPPING, S.STOPPED]


def test_a_run_with_a_step_that_runs_is_only_asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, S.RUNNING, step(S.COMPLETED), step(S.RUNNING))

    assert run_status.mark_run_stopped(RUN).status is S.STOPPING
    assert [status for status, _ in server.published] == [S.STOPPING]
    assert run_status.unfinished_steps(server.run) == ["step_1"]


def test_a_step_that_waits_for_its_orchestrator_to_retry_it_keeps_no_run_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = step(S.RETRYING)
    server = Server(monkeypatch, S.STOPPING, waiting, step(S.COMPLETED))
    assert run_status.unfinished_steps(server.run) == []

    run_status.mark_run_stopped(RUN)

    assert server.published == [("publish_stopped", waiting.id, None), (S.STOPPED, None)]


def test_a_run_that_the_server_itself_has_stopped_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, S.STOPPING, step(S.RETRYING))
    server.on_publish = lambda: setattr(server.run, "status", S.STOPPED)

    assert run_status.mark_run_stopped(RUN).status is S.STOPPED
    assert [how for how, *_ in server.published] == ["publish_stopped"]


@pytest.mark.parametrize("status", [S.COMPLETED, S.FAILED])
def test_the_end_that_an_orchestrator_has_reported_meanwhile_counts(
    status: ExecutionStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(monkeypatch, status)
    server.refuses = True
    assert run_status._publish_end(RUN, S.STOPPED).status is status

    server.run.status = S.RUNNING
    with pytest.raises(IllegalOperationError):
        run_status._publish_end(RUN, S.STOPPED)


@pytest.mark.parametrize("reported_at", [0.0, 5.0, None])
def test_a_command_step_is_reported_unless_its_launcher_does_so_in_time(
    reported_at: float | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    time, train = Clock(), step(S.RUNNING)
    server = Server(monkeypatch, S.RUNNING, train)

    def status(_step_run: object) -> ExecutionStatus:
        return S.RUNNING if reported_at is None or time.now < reported_at else S.COMPLETED

    monkeypatch.setattr(step_runs, "reported_status", status)
    run_status.mark_command_completed(train, timedelta(seconds=10), time=time)

    assert server.published == ([("publish_completed", train.id, None)] if reported_at is None else [])
    assert time.now == (10 if reported_at is None else reported_at)
    waits = [record.getMessage() for record in caplog.records if "Waiting up to 10 s" in record.getMessage()]
    assert len(waits) == (reported_at != 0)


@pytest.mark.parametrize(
    ("steps", "flavor", "end"),
    [
        ([S.COMPLETED], "local", S.FAILED),
        ([S.COMPLETED, S.RETRYING], "local", S.FAILED),
        ([S.COMPLETED], "kubernetes", S.RUNNING),
        ([S.COMPLETED, S.RUNNING], "local", S.RUNNING),
    ],
)
def test_a_run_whose_process_is_gone_has_failed(
    steps: list[ExecutionStatus], flavor: str, end: ExecutionStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Clock()
    server = Server(monkeypatch, S.RUNNING, *map(step, steps), flavor=flavor)

    assert run_status.settle(RUN, timedelta(seconds=10), time=time).status is end
    gone = [(S.FAILED, "The process that orchestrated the run is gone.")]
    assert server.published == (gone if end is S.FAILED else [])
    assert time.now == (0 if S.RUNNING in steps else 10)


@pytest.mark.parametrize("status", FINISHED)
def test_a_run_that_is_over_is_not_waited_for(status: ExecutionStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    time, server = Clock(), Server(monkeypatch, status)

    assert run_status.settle(RUN, timedelta(seconds=10), time=time).status is status
    assert (server.published, time.now) == ([], 0)


def test_a_run_without_a_stack_may_have_an_orchestrator_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, S.RUNNING, step(S.COMPLETED))
    server.run.stack = None

    assert run_status.settle(RUN, timedelta(seconds=1), time=Clock()).status is S.RUNNING
    assert server.published == []


def test_a_run_without_jobs_is_looked_for_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, S.COMPLETED)
    found = run_status.find_run("run")
    assert found is not None
    assert found.id == RUN
    assert run_status.find_run("other") is None

    with pytest.raises(AzureMLError, match=r"The ZenML server has no run `other`, and there is no job of it in "):
        run_status.check_run("other", [])
    run_status.check_run("run", [])

    def several(*_arguments: Any, **_options: Any) -> Any:
        raise ValueError("several runs have this name")

    monkeypatch.setattr(server, "get_pipeline_run", several)
    run_status.check_run("run", [])

    def away(*_arguments: Any, **_options: Any) -> Any:
        raise ConnectionError("away")

    monkeypatch.setattr(server, "get_pipeline_run", away)
    with pytest.raises(AzureMLError, match=r"no job of the run `run` in .*cannot be asked for the run: away"):
        run_status.check_run("run", [])
