"""Cost limits of steps and runs: the real SDK, on an emulator. Other processes are operators of their own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from azure.core.credentials import TokenCredential
from zenml.config import ResourceSettings
from zenml.exceptions import RunStoppedException

from tests.azure.secret_bench import FastTime
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from zenml_azureml import CostLimitError, tags
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.sizes import catalogue
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.jobs.definition import timeout_of
from zenml_azureml.emulator.resources import Job
from zenml_azureml.lifecycle.action_executor import ActionExecutor
from zenml_azureml.lifecycle.azure_jobs import AzureJobs
from zenml_azureml.lifecycle.canceller import Canceller
from zenml_azureml.lifecycle.cost_guard import CostGuard
from zenml_azureml.lifecycle.execution import Executions, StepExecution
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.lifecycle.state import Event, GiveUp, JobAccepted, StepPhase, SubmitFailed
from zenml_azureml.lifecycle.step_checks import StepChecks
from zenml_azureml.lifecycle.step_submission import StepSubmission
from zenml_azureml.lifecycle.submitter import Request, StepSubmitter
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.job_names import job_name_of
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.step_plan import StepPlan, plan_of
from zenml_azureml.specs.job import JobOptions, JobSpec

#: Its price at the emulator, in US dollars per hour.
SIZE, PRICE = "Standard_DS3_v2", 0.29
RUN = uuid4()


class Process:
    """The operator in one process."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._plans: dict[UUID, StepPlan] = {}
        self.executions = Executions(self)  # type: ignore[arg-type]
        jobs = AzureJobs(cast("Any", self))
        self.submitter = StepSubmitter(uuid4(), jobs, CostGuard(self.executions, jobs, FastTime()))

    def workspace(self, _settings: object) -> Workspace:
        return self._workspace

    def of_step(self, _step_run: object) -> Workspace:
        return self._workspace

    def plan(self, step_run: Any) -> Any:
        return self._plans[step_run.id]

    def step(self, name: str = "train", version: int = 1, **settings: Any) -> StepExecution:
        """A step run, before its first job."""
        step_run: Any = SimpleNamespace(
            id=uuid4(),
            name=name,
            version=version,
            pipeline_run_id=RUN,
            run_metadata={},
            config=SimpleNamespace(resource_settings=ResourceSettings()),
        )
        self._plans[step_run.id] = plan_of(AzureMLStepOperatorSettings(**{"instance_type": SIZE, **settings}))
        step = self.executions.of(step_run)
        step.state = step.state.with_attempt(Attempt(0, job_name_of(step_run.id)))
        return step

    def submission(self, note_end: Any) -> StepSubmission:
        """What submits the first jobs of steps, with everything that follows."""
        executions, time = self.executions, FastTime()
        jobs, checks = AzureJobs(cast("Any", self)), StepChecks(executions, time)
        canceller, publisher = Canceller(jobs, time), Publisher(uuid4(), executions, jobs, time)
        earlier: Any = SimpleNamespace(end=lambda *_: None, note_end=note_end)
        executor = ActionExecutor(executions, jobs, self.submitter, canceller, publisher, earlier, checks, time)
        supervisor: Any = SimpleNamespace(watch=lambda: None)
        return StepSubmission(executor, supervisor)

    def builder(self, step: StepExecution, number: int = 1) -> Any:
        """What builds its jobs."""

        def build(options: JobOptions, _checkpoints: object) -> JobSpec:
            name = job_name_of(step.id, number)
            own = {tags.STEP: step.name, tags.STEP_RUN_ID: str(step.id), tags.of_run(RUN): ""}
            return JobSpec(
                *(name, name, "tests", "image", "true"),
                environment_variables={},
                tags=own,
                options=options,
                own_tag=tags.STEP_RUN_ID,
                price_tag=tags.USD_PER_HOUR,
            )

        return SimpleNamespace(build=build)

    def submit(self, step: StepExecution, check: Any = lambda: None) -> Event:
        """Submit its next job."""
        number = len(step.state.attempts) + (step.state.attempts[-1].reason is not None)
        return self.submitter.submit(step, 0, Request(self.builder(step, number), check))


class World:
    """An emulated workspace, and processes that submit steps of one run to it."""

    def __init__(self, emulator: Emulator, credential: TokenCredential) -> None:
        emulator.context.settings.simulated_seconds = 3600
        self.emulator, self.credential, self.arm = emulator, credential, Arm(emulator)
        self.process = self.another_process()
        self._before = len(requests_of(emulator))

    def another_process(self) -> Process:
        name = WorkspaceName()
        address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
        return Process(Workspace(address, lambda: self.credential, FastTime()))

    def job(self, step: StepExecution) -> Job:
        return self.emulator.context.store.workspaces[0].jobs[step.job_name]

    def end(self, step: StepExecution, ran: timedelta) -> None:
        """Let a step's job have failed after some time."""
        job = self.job(step)
        eventually(lambda: job.status == "Running")  # after that, the emulator leaves it alone for an hour
        job.status = "Failed"
        job.ended_at = datetime.now(timezone.utc)
        job.started_at = job.ended_at - ran
        for name, moment in (("StartTimeUtc", job.started_at), ("EndTimeUtc", job.ended_at)):
            job.properties["properties"][name] = f"{moment:%Y-%m-%d %H:%M:%S}"

    @property
    def listings(self) -> int:
        """How often the jobs of the run were listed."""
        served = requests_of(self.emulator)[self._before :]
        return sum(1 for entry in served if entry["method"] == "GET" and entry["path"].endswith("/jobs"))


@pytest.fixture
def world(emulator: Emulator, credential: TokenCredential, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(catalogue, "_regions", {})
    monkeypatch.setattr(step_runs, "record_job", lambda *_: None)
    return World(emulator, credential)


def limit_of(job: Job) -> timedelta | None:
    seconds = timeout_of(job.properties["limits"])
    return None if seconds is None else timedelta(seconds=seconds)


def refusal(event: Event) -> CostLimitError:
    assert isinstance(event, SubmitFailed | GiveUp), event
    assert isinstance(event.error, CostLimitError), event.error
    assert event.error.cause == "cost-limit"
    return event.error


def test_without_a_cost_limit_there_is_no_further_request_and_no_tag(world: World) -> None:
    step = world.process.step(timeout_minutes=90)

    assert isinstance(world.process.submit(step), JobAccepted)

    assert world.listings == 0
    assert limit_of(world.job(step)) == timedelta(minutes=90)
    assert not {tags.RESERVED_USD, tags.COST_LIMIT} & set(world.job(step).properties["tags"])


def test_azure_gets_the_time_that_the_limit_pays_for_on_all_nodes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    step = world.process.step(max_usd=0.5, timeout_minutes=600, instance_count=2)

    assert isinstance(world.process.submit(step), JobAccepted)

    job = world.job(step)
    assert limit_of(job) == timedelta(seconds=int(0.5 / (2 * PRICE) * 3600))
    assert job.properties["tags"][tags.COST_LIMIT] == "max_usd=0.5"
    assert 0.499 < float(job.properties["tags"][tags.RESERVED_USD]) <= 0.5
    assert "its job may run for 51.7 minutes instead of 600, because 0.50 USD of `max_usd=0.5` is left" in caplog.text
    assert world.listings == 0  # a first job has none before it


def test_a_time_limit_of_the_step_that_is_shorter_stays(world: World) -> None:
    step = world.process.step(max_usd=5, timeout_minutes=60)

    world.process.submit(step)

    assert limit_of(world.job(step)) == timedelta(minutes=60)
    assert tags.COST_LIMIT not in world.job(step).properties["tags"]
    assert float(world.job(step).properties["tags"][tags.RESERVED_USD]) == pytest.approx(PRICE)


def test_a_retry_gets_what_the_jobs_of_earlier_step_runs_have_left(world: World) -> None:
    first, other = world.process.step(max_usd=PRICE), world.process.step("evaluate")
    world.process.submit(first)
    world.end(first, timedelta(minutes=40))
    world.process.submit(other)  # another step of the run
    world.end(other, timedelta(hours=9))

    second = world.another_process().step(version=2, max_usd=PRICE)  # started again, it knows nothing of the first
    assert isinstance(world.process.submit(second), JobAccepted)
    assert limit_of(world.job(second)) == pytest.approx(timedelta(minutes=20), abs=timedelta(seconds=5))
    world.end(second, timedelta(minutes=15.5))

    third = world.process.step(version=3, max_usd=PRICE)
    error = refusal(world.process.submit(third))
    assert str(error).startswith(
        f"The step `train` was not submitted: its cost limit (`max_usd={PRICE}`) is used up. Of 0.29 USD, ended "
        "jobs have cost 0.27 and unfinished jobs have reserved 0.00, so 0.02"
    )
    assert "that is enough for 4.5 minutes, and a job gets at least 5." in str(error)
    assert third.job_name not in world.emulator.context.store.workspaces[0].jobs


def test_a_limit_that_is_used_up_creates_no_compute(world: World) -> None:
    first = world.process.step(max_usd=PRICE)
    world.process.submit(first)
    world.end(first, timedelta(minutes=61))
    compute: dict[str, Any] = {"instance_type": None, "mode": "compute-cluster", "compute_name": "made", "size": SIZE}
    before = len(requests_of(world.emulator))

    error = refusal(world.process.submit(world.process.step(version=2, max_usd=PRICE, **compute)))

    assert "so 0.00 USD is left" in str(error)
    assert [entry["path"] for entry in requests_of(world.emulator)[before:] if "/computes" in entry["path"]] == []


def test_a_resubmitted_step_gets_what_its_own_jobs_have_left(world: World) -> None:
    step = world.process.step(max_usd=PRICE)
    world.process.submit(step)
    ended = datetime.now(timezone.utc)
    preempted = Attempt(
        0,
        step.job_name,
        usd_per_hour=PRICE,
        reason=RetryReason.PREEMPTED,
        started=ended - timedelta(minutes=45),
        ended=ended,
    )
    step.state = step.state.with_attempt(preempted)  # run history has its end, and the listing not yet

    assert isinstance(world.process.submit(step), JobAccepted)

    assert step.job_name.endswith("-2")
    assert limit_of(world.job(step)) == pytest.approx(timedelta(minutes=15), abs=timedelta(seconds=5))


def test_unfinished_jobs_of_a_run_count_what_they_have_reserved(world: World) -> None:
    limits: dict[str, Any] = {"max_usd_per_run": 2 * PRICE}
    first = world.process.step("first", timeout_minutes=90, **limits)
    second, third = world.another_process().step("second", **limits), world.process.step("third", **limits)
    world.process.submit(first)

    assert isinstance(world.process.submit(second), JobAccepted)
    error = refusal(world.process.submit(third))

    assert limit_of(world.job(second)) == pytest.approx(timedelta(minutes=30), abs=timedelta(seconds=5))
    assert world.job(second).properties["tags"][tags.COST_LIMIT] == f"max_usd_per_run={2 * PRICE}"
    assert "ended jobs have cost 0.00 and unfinished jobs have reserved 0.58" in str(error)
    assert "a job without either reserves all that is left" in error.hint

    world.end(first, timedelta(minutes=30))  # sooner than it could have been: the rest is free again
    assert isinstance(world.process.submit(third), JobAccepted)


def test_threads_that_submit_at_the_same_time_reserve_no_more_than_the_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has listed the jobs before another one is submitted: only the reservations in the process tell them."""
    steps = [world.process.step(f"fold-{number}", max_usd_per_run=PRICE, timeout_minutes=30) for number in range(4)]
    listed = threading.Barrier(4)
    costs = world.process.submitter._costs
    spendings = costs.spendings

    def listed_at_once(*arguments: Any) -> Any:
        found = spendings(*arguments)
        listed.wait(60)
        return found

    reserved, pending = threading.Barrier(4), costs._pending

    def pending_at_once(step: StepExecution) -> Any:
        found = pending(step)
        with suppress(threading.BrokenBarrierError):
            reserved.wait(0.2)  # the others do not come here before this thread has reserved something
        return found

    monkeypatch.setattr(costs, "spendings", listed_at_once)
    monkeypatch.setattr(costs, "_pending", pending_at_once)
    with ThreadPoolExecutor(4) as pool:
        events = list(pool.map(world.process.submit, steps))

    assert sum(isinstance(event, JobAccepted) for event in events) == 2
    assert sum(isinstance(event, SubmitFailed) for event in events) == 2
    assert len(world.emulator.context.store.workspaces[0].jobs) == 2


def test_a_job_that_azure_refuses_reserves_nothing(world: World) -> None:
    refusal = {"error": {"code": "UserError", "message": "No."}}
    world.arm.call("POST", "/_emulator/faults", {"path": "/jobs/", "method": "PUT", "status": 400, "body": refusal})
    first, second = (world.process.step(name, max_usd_per_run=PRICE) for name in ("first", "second"))

    assert isinstance(world.process.submit(first), SubmitFailed)
    assert isinstance(world.process.submit(second), JobAccepted)


def test_of_processes_that_submit_at_the_same_time_the_later_job_gives_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = [world.process, world.another_process()]
    steps = [each.step(f"fold-{number}", max_usd_per_run=PRICE) for number, each in enumerate(processes)]
    for process, step in zip(processes, steps, strict=True):  # each lists the jobs before there is one
        known = process.submitter._costs.spendings(step, 0, step.job_name, lambda: None)
        monkeypatch.setattr(process.submitter._costs, "spendings", lambda *_, known=known: known)

    assert isinstance(processes[0].submit(steps[0]), JobAccepted)
    given_up = processes[1].submit(steps[1])

    assert isinstance(given_up, GiveUp)  # which cancels its job
    assert "another process submitted a job of the run at the same time" in str(refusal(given_up))


def test_a_job_that_gives_way_is_cancelled_and_its_step_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[Any] = []
    monkeypatch.setattr(step_runs, "publish_failure", lambda _step_run, error: published.append(error))
    first, second = world.another_process(), world.process
    earlier: list[Any] = []
    step = second.step("second", max_usd_per_run=PRICE)
    spendings = second.submitter._costs.spendings

    def listed_before_the_other_one(*arguments: Any) -> Any:
        found = spendings(*arguments)
        first.submit(first.step("first", max_usd_per_run=PRICE))
        return found

    monkeypatch.setattr(second.submitter._costs, "spendings", listed_before_the_other_one)

    with pytest.raises(CostLimitError, match="another process submitted a job of the run"):
        second.submission(earlier.append).submit(step, second.builder(step), is_dynamic=True)

    jobs = world.emulator.context.store.workspaces[0].jobs.values()
    assert {job.properties["tags"][tags.STEP]: job.status == "Canceled" for job in jobs} == {
        "first": False,
        "second": True,
    }
    assert [type(error) for error in published] == [CostLimitError]
    assert second.executions.of_run(RUN) == []  # nothing is kept of it
    assert earlier == []  # a retry looks for its job


def test_a_stop_during_the_second_look_leaves_the_job_to_be_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = world.process.step(max_usd_per_run=5)

    def stopped(*_: object) -> None:
        raise RunStoppedException("The pipeline run was stopped.")

    monkeypatch.setattr(world.process.submitter._costs, "check_again", stopped)

    assert isinstance(world.process.submit(step), JobAccepted)


def test_a_step_that_is_being_stopped_is_left_to_that(world: World) -> None:
    step = world.process.step(max_usd_per_run=5)

    def submitted() -> None:
        step.state = step.state.__class__(StepPhase.CANCELLING, step.state.attempts)

    world.process.submit(step, submitted)

    assert world.listings == 1  # the second look is not needed any more


@pytest.mark.parametrize("unknown_price", ["warn", "fail"])
def test_an_unknown_price_is_reported_and_refused_only_if_a_setting_says_so(
    world: World, caplog: pytest.LogCaptureFixture, unknown_price: str
) -> None:
    step = world.process.step(max_usd=5, unknown_price=unknown_price, instance_type=None)

    event = world.process.submit(step)

    said = "the price of its compute is unknown (serverless compute (Azure chooses the size, price unknown)), so "
    said += "`max_usd=5` cannot limit its job"
    if unknown_price == "warn":
        assert isinstance(event, JobAccepted)
        assert said in caplog.text
        assert limit_of(world.job(step)) is None
    else:
        assert said in str(refusal(event))
        assert step.job_name not in world.emulator.context.store.workspaces[0].jobs


@pytest.mark.parametrize("unknown_price", ["warn", "fail"])
def test_a_job_of_the_run_with_an_unknown_price_is_reported(
    world: World, caplog: pytest.LogCaptureFixture, unknown_price: str
) -> None:
    world.process.submit(world.process.step("first", instance_type=None))
    step = world.process.step("second", max_usd_per_run=5, unknown_price=unknown_price)

    event = world.process.submit(step)

    said = "the cost of 1 earlier or unfinished jobs is unknown, and does not count against `max_usd_per_run=5`"
    assert said in (caplog.text if unknown_price == "warn" else str(refusal(event)))


def test_prices_that_cannot_be_read_for_a_moment_are_not_taken_for_unknown(world: World) -> None:
    fault = {"path": "/vmSizes$", "method": "GET", "times": 6, "status": 503}
    world.arm.call("POST", "/_emulator/faults", fault)
    step = world.process.step(max_usd=0.5, quota_check="off")

    assert isinstance(world.process.submit(step), JobAccepted)

    assert limit_of(world.job(step)) == timedelta(seconds=int(0.5 / PRICE * 3600))


def test_a_run_whose_jobs_cannot_be_listed_submits_none(world: World) -> None:
    fault = {"path": "/jobs$", "method": "GET", "times": 1000, "status": 503}
    world.arm.call("POST", "/_emulator/faults", fault)
    step = world.process.step(max_usd_per_run=0.5, max_unreachable_minutes=1)

    event = world.process.submit(step)

    assert isinstance(event, SubmitFailed)
    assert step.job_name not in world.emulator.context.store.workspaces[0].jobs
