"""The unfinished jobs of a step's earlier step runs end before it is submitted again: the real SDK, on an emulator."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from azure.core.credentials import TokenCredential
from zenml.exceptions import RunStoppedException

from tests.azure.earlier_world import BY_CODE, BY_OPERATOR, ENDED_ITSELF, OTHER_RUN, RUN, STARTED, World
from tests.azure.secret_bench import Bench
from tests.conftest import credential_of, point_clients_at
from tests.contract.test_scenarios import status, submit
from tests.contract.waiting import eventually
from tests.vault_access import values_in
from zenml_azureml import tags
from zenml_azureml.contract.hold import HELD_UNTIL
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.predecessors import IN_FLIGHT
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.job_names import job_name_of
from zenml_azureml.run_store.step_runs import JOB_ID_KEY, JOB_NAME_KEY
from zenml_azureml.settings.models import AzureMLStepOperatorSettings


@pytest.fixture
def world(emulator: Emulator, credential: TokenCredential, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(emulator, credential, monkeypatch)


def test_a_first_step_run_costs_no_request(world: World) -> None:
    assert world.earlier_jobs.end(world.step(world.first), lambda: None) is None

    assert world.listings == 0
    assert world.requests() == []


@pytest.mark.parametrize("info", [ENDED_ITSELF, BY_OPERATOR, BY_CODE, None], ids=["itself", "operator", "code", "none"])
@pytest.mark.parametrize("over", ["the run is over (failed)", ""])
def test_a_step_whose_job_has_ended_itself_is_not_submitted_again_in_a_run_that_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch, info: Any, over: str
) -> None:
    monkeypatch.setattr(step_runs, "over", lambda run_id: over if run_id == RUN else "")
    world.first.exception_info = info

    if info is ENDED_ITSELF and over:
        with pytest.raises(
            RunStoppedException, match=r"`train` is not submitted again: .* and the run is over \(failed"
        ):
            world.end()
        assert world.requests() == []
    else:
        world.end()


def test_a_retry_whose_earlier_job_this_process_has_seen_end_costs_no_request(world: World) -> None:
    world.earlier_jobs.note_end(world.first)

    world.end_and_look_again()

    assert world.listings == 0
    assert world.requests() == []


@pytest.mark.parametrize("listed", [True, False])
def test_an_unfinished_job_is_cancelled_and_has_ended_before_the_step_is_submitted(
    world: World, listed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    name = world.submit(job_name_of(world.first.id), listed=listed)

    world.end_and_look_again()

    assert f"The Azure ML job `{name}` has ended: Canceled." in caplog.messages
    assert status(world.arm, name) == "Canceled"
    assert world.clock.now < IN_FLIGHT.total_seconds()  # a step that has an unfinished job submits no further one


@pytest.mark.parametrize("number", [2, 3, 11])
def test_so_is_the_newest_of_several_jobs_of_a_step_run(world: World, number: int) -> None:
    for before in range(1, number):
        world.emulator.context.settings.simulated_seconds = 0
        world.submit(job_name_of(world.first.id, before))
    world.emulator.context.settings.simulated_seconds = 3600
    name = world.submit(job_name_of(world.first.id, number), listed=False)

    world.end_and_look_again()

    assert status(world.arm, name) == "Canceled"


def test_a_recorded_job_is_found_although_the_one_before_it_was_deleted(world: World) -> None:
    name = world.submit(job_name_of(world.first.id, 2), listed=False)
    attempts = [{"target": 0, "job": job_name_of(world.first.id)}, {"target": 1, "job": name}]
    world.first.run_metadata = {JOB_NAME_KEY: name, "azureml_attempts": attempts}

    world.end_and_look_again()

    assert status(world.arm, name) == "Canceled"


@pytest.mark.parametrize("seconds", [0.5, 20, 59])
def test_a_job_whose_submit_was_under_way_is_cancelled_when_it_appears(world: World, seconds: float) -> None:
    name = job_name_of(world.first.id)

    def happens(now: float) -> None:
        if now >= seconds and name not in world.emulator.context.store.workspaces[0].jobs:
            world.submit(name)

    world.clock.happens = happens

    world.end()

    assert status(world.arm, name) == "Canceled"


def test_so_is_the_next_job_of_a_step_that_was_being_moved(world: World) -> None:
    world.emulator.context.settings.simulated_exit_code = 1
    world.emulator.context.settings.simulated_seconds = 0
    before = world.submit(job_name_of(world.first.id))
    eventually(lambda: status(world.arm, before) == "Failed")
    following = job_name_of(world.first.id, 2)

    def happens(_now: float) -> None:
        if following not in world.emulator.context.store.workspaces[0].jobs:
            world.submit(following)

    world.clock.happens = happens

    world.emulator.context.settings.simulated_seconds = 3600
    world.end()

    assert status(world.arm, following) == "Canceled"


def test_a_job_that_appears_late_is_seen_right_before_the_submit(world: World) -> None:
    search = world.end()
    assert search is not None
    assert world.clock.now >= IN_FLIGHT.total_seconds()
    name = world.submit(job_name_of(world.first.id))

    search.look_again()

    assert status(world.arm, name) == "Canceled"


def test_only_its_name_is_asked_for_of_a_step_run_that_was_superseded_long_ago(world: World) -> None:
    second, world.second.version = world.step_run(2), 3
    world.earlier_jobs.note_end(second)
    world.second.start_time = STARTED + timedelta(hours=9)
    world.earlier = [world.first, second]

    world.end()

    assert world.clock.now == 0
    assert world.requests() == [("GET", ""), ("GET", f"/{job_name_of(world.first.id)}")]


@pytest.mark.parametrize("reported", [BY_CODE, BY_OPERATOR])
def test_a_retry_in_a_new_process_submits_at_once_if_the_earlier_job_has_failed(world: World, reported: Any) -> None:
    world.emulator.context.settings.simulated_exit_code = 1
    world.emulator.context.settings.simulated_seconds = 0
    name = world.submit(job_name_of(world.first.id))
    world.first.exception_info = reported

    world.end_and_look_again()

    assert world.clock.now == 0
    assert world.requests() == [("GET", ""), ("GET", f"/{name}-2")]


def test_a_job_that_is_gone_after_its_step_has_reported_its_failure_delays_nothing(world: World) -> None:
    world.first.exception_info = BY_CODE
    world.first.run_metadata = {JOB_NAME_KEY: job_name_of(world.first.id)}

    world.end_and_look_again()

    assert world.clock.now == 0


def test_jobs_of_other_steps_and_runs_and_of_the_step_run_itself_are_left_alone(world: World) -> None:
    world.first.exception_info = BY_CODE
    others = [
        world.submit(job_name_of(other), other) for other in (uuid4(), uuid4())
    ]  # another step of the run, whatever its name
    others.append(world.submit("of-another-run", uuid4(), run=OTHER_RUN))
    others.append(world.submit(job_name_of(world.second.id), world.second.id))
    others.append(world.submit(job_name_of(world.first.id), uuid4(), run=OTHER_RUN))  # the name, but not the tag

    world.end_and_look_again()

    assert {status(world.arm, name) for name in others} == {"Running"}


def test_a_step_is_not_submitted_beside_a_job_that_does_not_end(world: World) -> None:
    name = world.submit(job_name_of(world.first.id))
    world.arm.call("POST", "/_emulator/faults", {"method": "POST", "path": "/cancel$", "status": 202, "times": 1000})
    world.settings = AzureMLStepOperatorSettings(max_cancel_minutes=3)

    with pytest.raises(AzureMLError) as failure:
        world.end()

    assert f"Azure ML job `{name}` of an earlier step run of it has not ended within 3 minutes" in str(failure.value)
    assert f"az ml job cancel --name {name} --workspace-name" in str(failure.value)
    assert 180 <= world.clock.now < 190
    cancels = [request for request in world.requests() if request[0] == "POST"]
    assert 3 <= len(cancels) <= 4  # one a minute, the last of which may be due at the deadline


@pytest.mark.parametrize("how", ["finalizing", "reported"])
def test_a_job_that_comes_to_its_own_end_is_waited_for_and_not_cancelled(world: World, how: str) -> None:
    name = world.submit(job_name_of(world.first.id))
    job = world.emulator.context.store.workspaces[0].jobs[name]
    eventually(lambda: job.status == "Running")
    if how == "finalizing":
        job.status = "Finalizing"
    else:
        world.first.exception_info = BY_CODE

    def happens(now: float) -> None:
        if now >= 20:
            job.status = "Completed"

    world.clock.happens = happens

    world.end()

    assert [request for request in world.requests() if request[0] == "POST"] == []


def test_a_job_that_outlives_the_report_of_its_step_is_cancelled(world: World) -> None:
    name = world.submit(job_name_of(world.first.id))
    world.first.exception_info = BY_CODE

    world.end()

    assert status(world.arm, name) == "Canceled"
    assert world.clock.now >= 30


@pytest.mark.parametrize("path", ["/jobs$", "/jobs/[^/]+$", "/cancel$"])
def test_a_step_is_not_submitted_if_azure_cannot_be_asked(world: World, path: str) -> None:
    world.submit(job_name_of(world.first.id))
    world.arm.call("POST", "/_emulator/faults", {"method": "GET|POST", "path": path, "status": 503, "times": 100_000})
    world.settings = AzureMLStepOperatorSettings(max_unreachable_minutes=5)

    with pytest.raises(AzureMLError, match="is not submitted, because an earlier step run of it may still have an"):
        world.end()

    assert world.clock.now >= 300


def test_an_interruption_cancels_what_was_found_and_says_how_to_make_sure(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    name = world.submit(job_name_of(world.first.id))
    world.first.exception_info = BY_CODE  # so that it is given some time before its cancel

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.end(interrupted)

    assert status(world.arm, name) == "Canceled"
    assert f"az ml job cancel --name {name}" in caplog.text


@pytest.mark.parametrize("appeared", [True, False])
def test_an_interruption_while_a_job_may_still_appear_looks_once_more(
    world: World, caplog: pytest.LogCaptureFixture, appeared: bool
) -> None:
    name = job_name_of(world.first.id)

    def interrupted() -> None:
        if appeared:
            world.submit(name)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.end(interrupted)

    assert [job.name for job in world.emulator.context.store.workspaces[0].jobs.values()] == [name] * appeared
    assert not appeared or status(world.arm, name) == "Canceled"
    assert "`zenml-azureml jobs cancel --orphans` cancels it" in caplog.text


def test_an_interruption_while_azure_is_unreachable_ends_the_wait_soon(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted() -> None:
        fault = {"method": "GET", "path": "/jobs/[^/]+$", "status": 503, "times": 100_000}
        world.arm.call("POST", "/_emulator/faults", fault)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.end(interrupted)

    assert world.clock.now < 60  # `max_unreachable_minutes` is 30
    assert "an earlier step run of it may still have an unfinished job" in caplog.text


def test_a_job_in_the_workspace_that_the_operator_had_before_is_cancelled_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(job_preparation=0, job_finalization=0)
    both = (WorkspaceName(), WorkspaceName(name="another"))
    clock = SystemClock()
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path, runtime=runtime, clock=clock, settings=settings, workspaces=both) as emulator:
        point_clients_at(emulator, monkeypatch)
        world = World(emulator, credential_of(emulator), monkeypatch, name=both[1])
        name = world.submit(job_name_of(world.first.id))  # in the first one
        world.first.run_metadata = {JOB_NAME_KEY: name, JOB_ID_KEY: f"{world.arm.workspace}/jobs/{name}"}

        world.end()

        assert status(world.arm, name) == "Canceled"


@pytest.mark.parametrize("has_ended", [False, True])
def test_the_secret_that_a_killed_process_has_left_in_a_key_vault_is_deleted_with_its_job(
    emulator: Emulator, credential: TokenCredential, monkeypatch: pytest.MonkeyPatch, has_ended: bool
) -> None:
    killed = Bench(emulator, credential)
    killed.let_all()
    world = World(emulator, credential, monkeypatch)
    name = job_name_of(world.first.id)
    secret = killed.submit(name).vault_secret
    assert secret
    job = emulator.context.store.workspaces[0].jobs[name]
    job.properties["tags"] |= {tags.STEP_RUN_ID: str(world.first.id), tags.VAULT_SECRET: secret}
    if has_ended:
        world.arm.call("POST", f"jobs/{name}/cancel")
        eventually(lambda: status(world.arm, name) == "Canceled")
    assert values_in(killed.vault)

    world.end()

    assert status(world.arm, name) == "Canceled"
    eventually(lambda: not values_in(killed.vault))


@pytest.mark.parametrize("status_of_first", ["Running", "Failed"])
def test_the_checkpoint_folder_that_an_earlier_job_has_used_is_known(world: World, status_of_first: str) -> None:
    """An older version named it otherwise, and the step is to find there what it has saved."""
    folder = "azureml://datastores/workspaceblobstore/paths/zenml/run/fold-1/checkpoints"
    name = world.submit(job_name_of(world.first.id))
    job = world.emulator.context.store.workspaces[0].jobs[name]
    job.properties["outputs"] = {
        "checkpoints": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": folder}
    }
    if status_of_first == "Failed":
        job.status = "Failed"

    search = world.end()
    assert search is not None
    assert search.checkpoints == folder


def test_no_checkpoint_folder_is_known_if_no_earlier_job_had_one(world: World) -> None:
    world.submit(job_name_of(world.first.id))

    search = world.end()
    assert search is not None
    assert search.checkpoints == ""


@pytest.mark.parametrize(
    ("minutes", "report", "wants_hold"),
    [(20, BY_CODE, True), (-1, BY_CODE, True), (20, BY_OPERATOR, True), (20, None, True), (20, BY_CODE, False)],
    ids=["held", "its hold is over", "reported by the operator", "not reported", "no hold was asked for"],
)
def test_only_a_job_that_is_held_open_may_run_beside_the_next_one(
    world: World, minutes: int, report: Any, wants_hold: bool
) -> None:
    world.first.exception_info = report
    world.first.run_metadata[HELD_UNTIL] = (datetime.now(timezone.utc) + timedelta(minutes=minutes)).isoformat()
    name = job_name_of(world.first.id)
    job_tags = {tags.STEP: "train", tags.STEP_RUN_ID: str(world.first.id), tags.RUN_ID: str(RUN), tags.of_run(RUN): ""}
    submit(world.arm, name, tags={**job_tags, **({tags.HOLD: "20"} if wants_hold else {})})
    eventually(lambda: status(world.arm, name) == "Running")

    world.earlier_jobs.end(world.step(world.second), lambda: None)

    is_held = minutes > 0 and report is BY_CODE and wants_hold
    assert status(world.arm, name) == ("Running" if is_held else "Canceled")


def test_the_ends_of_so_many_steps_are_remembered_and_no_more(world: World) -> None:
    first = [
        SimpleNamespace(id=uuid4(), name=f"step-{number}", pipeline_run_id=RUN, version=1) for number in range(300)
    ]
    for step_run in first:
        world.earlier_jobs.note_end(step_run)  # type: ignore[arg-type]

    remembered = world.earlier_jobs._ended
    assert list(remembered) == [(RUN, step_run.name) for step_run in first[-256:]]
    assert remembered[RUN, "step-299"] == {first[-1].id}
