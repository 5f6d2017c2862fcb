"""What is read from step runs on ZenML's server and written to them: a client that notes what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from zenml.enums import ExecutionStatus
from zenml.exceptions import IllegalOperationError
from zenml.metadata.metadata_types import Uri
from zenml.models import ExceptionInfo

from zenml_azureml import tags
from zenml_azureml.azure.compute.placement import ANYWHERE, Placement
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.submitter import SubmittedJob
from zenml_azureml.exceptions import AzureMLError, JobFailedError
from zenml_azureml.run_store import job_names, step_runs
from zenml_azureml.run_store import server as zenml_server
from zenml_azureml.secrets.known_values import remember

STEP_RUN, COMPONENT = uuid4(), uuid4()


class Server:
    """A server with the runs and step runs of a test."""

    def __init__(self) -> None:
        self.runs: dict[UUID, Any] = {}
        self.step = SimpleNamespace(status=ExecutionStatus.RUNNING, exception_info=None)
        self.pages: list[Any] = []
        self.asked: list[tuple[str, Any]] = []
        self.updates: list[tuple[UUID, Any]] = []
        self.zen_store = SimpleNamespace(update_run_step=lambda step, update: self.updates.append((step, update)))

    def get_pipeline_run(self, run_id: UUID, *, hydrate: bool) -> Any:
        assert hydrate is False
        self.asked.append(("run", run_id))
        return self.runs[run_id]

    def get_run_step(self, step_run_id: UUID, *, hydrate: bool = True) -> Any:
        self.asked.append(("step", hydrate))
        assert step_run_id == STEP_RUN
        return self.step

    def list_run_steps(self, **filters: Any) -> Any:
        self.asked.append(("steps", {name: value for name, value in filters.items() if name not in ("page", "size")}))
        return SimpleNamespace(items=self.pages, index=1, total_pages=1, total=len(self.pages), max_size=100)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(step_runs, "Client", lambda: server)
    return server


def step_run(**more: Any) -> Any:
    return SimpleNamespace(id=STEP_RUN, name="train", run_metadata={}, **more)


# The record of a job.


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(step_runs, "publish_step_run_metadata", lambda *arguments: found.append(arguments))
    return found


def submitted(placement: Placement, vault: str = "", studio_url: str = "") -> SubmittedJob:
    job_tags = {tags.VAULT_SECRET: vault} if vault else {}
    return SubmittedJob("zenml-1", "/jobs/zenml-1", studio_url, placement, job_tags)


def test_everything_that_is_known_of_a_job_is_recorded_in_one_request(published: list[Any]) -> None:
    cluster = Placement(ComputeTarget("gpus", "compute-cluster"), "Standard_NC4as_T4_v3", price_per_hour=0.9)
    job, step = submitted(cluster, "https://vault/secrets/one", "https://studio/1"), step_run()
    step_runs.record_job(step, COMPONENT, job, {"more": 1})

    metadata = {
        "azureml_job_name": "zenml-1",
        "azureml_job_id": "/jobs/zenml-1",
        "azureml_compute": "gpus",
        "azureml_vm_size": "Standard_NC4as_T4_v3",
        "azureml_usd_per_hour_and_node": 0.9,
        "azureml_vault_secret": "https://vault/secrets/one",
        "azureml_studio_url": Uri("https://studio/1"),
        "more": 1,
    }
    assert published == [(STEP_RUN, {COMPONENT: metadata})]
    assert step.run_metadata == metadata
    assert isinstance(step.run_metadata["azureml_studio_url"], Uri)
    assert step_runs.recorded_vault_secret(step) == "https://vault/secrets/one"


def test_what_is_not_known_of_a_job_is_not_recorded(published: list[Any]) -> None:
    step_runs.record_job(step_run(), COMPONENT, submitted(ANYWHERE))

    ((_, recorded),) = published
    assert recorded[COMPONENT] == {
        "azureml_job_name": "zenml-1",
        "azureml_job_id": "/jobs/zenml-1",
        "azureml_compute": "serverless",
    }


def test_no_metadata_of_a_step_has_a_known_secret(published: list[Any]) -> None:
    remember(["a-secret-in-metadata"])
    step = step_run()
    metadata = {"metrics": {"note": "see a-secret-in-metadata"}, "inputs": ["a-secret-in-metadata"]}
    step_runs.save_metadata(step, COMPONENT, metadata)

    assert step.run_metadata["metrics"]["note"].startswith("see ")
    assert published == [(STEP_RUN, {COMPONENT: step.run_metadata})]
    assert "a-secret-in-metadata" not in repr(published)


def test_a_price_of_nothing_is_a_price(published: list[Any]) -> None:
    step_runs.record_job(step_run(), COMPONENT, submitted(Placement(ANYWHERE.target, price_per_hour=0.0)))

    assert published[0][1][COMPONENT]["azureml_usd_per_hour_and_node"] == 0.0


@pytest.mark.parametrize("studio_url", ["", "https://studio/1"])
@pytest.mark.parametrize("compute", ["", "gpus"])
def test_a_job_of_another_process_is_recorded_by_what_it_says(compute: str, studio_url: str) -> None:
    facts = step_runs.facts_of(JobHandle("zenml-1", compute=compute, studio_url=studio_url))

    linked = {"azureml_studio_url": Uri(studio_url)} if studio_url else {}
    assert facts == {"azureml_job_name": "zenml-1", "azureml_compute": compute or "serverless", **linked}


def test_a_recorded_name_takes_precedence_over_the_one_that_follows_from_the_id() -> None:
    step = step_run()
    assert step_runs.recorded_job_name(step) == f"zenml-{STEP_RUN}"
    assert not step_runs.is_recorded(step)
    step.run_metadata["azureml_job_name"] = "of-a-later-version"
    assert step_runs.recorded_job_name(step) == "of-a-later-version"
    assert step_runs.is_recorded(step)


@pytest.mark.parametrize("number", [1, 2, 11])
def test_a_job_name_has_the_step_run_and_its_number(number: int) -> None:
    name = job_names.job_name_of(STEP_RUN, number)

    assert name == (f"zenml-{STEP_RUN}" if number == 1 else f"zenml-{STEP_RUN}-{number}")
    assert job_names.step_run_named_in(name) == str(STEP_RUN)
    assert job_names.number_named_in(name) == number


def test_the_name_of_another_job_names_no_step_run() -> None:
    assert job_names.step_run_named_in("brave_bee_12") == "brave_bee_12"
    assert job_names.number_named_in("brave_bee_12") == 1


def test_a_server_is_asked_for_its_id_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    info = SimpleNamespace(id=uuid4())
    url = f"https://zenml.example/{info.id}"

    def get_store_info() -> Any:
        asked.append("info")
        return info

    store = SimpleNamespace(url=url, get_store_info=get_store_info)
    monkeypatch.setattr(zenml_server, "Client", lambda: SimpleNamespace(zen_store=store))

    assert [zenml_server.server_id(), zenml_server.server_id()] == [info.id, info.id]
    assert asked == ["info"]


# Runs that are over.


def run(server: Server, status: str, parent: Any = None) -> Any:
    """A run of the server; the parent stands in the answer as the server gives it, without its own parent."""
    run_id = uuid4()
    root_id = run_id if parent is None else getattr(parent, "root_run_id", None) or parent.id
    found = SimpleNamespace(id=run_id, status=ExecutionStatus(status), root_run_id=root_id)
    found.parent_run = None
    if parent is not None:
        found.parent_run = SimpleNamespace(
            id=parent.id, status=parent.status, root_run_id=parent.root_run_id, parent_run=None
        )
    server.runs[run_id] = found
    return found


def test_a_run_is_stopped_if_it_is_or_one_of_those_that_launched_it(server: Server) -> None:
    by_parent = "the parent run was stopped"
    for status, expected in {"running": "", "stopping": by_parent, "stopped": by_parent}.items():
        top = run(server, status)
        middle = run(server, "running", top)
        inner = run(server, "running", middle)
        assert step_runs.why_stopped(inner) == expected
        assert step_runs.why_stopped(middle) == expected
        assert step_runs.is_stopping(inner.id) is bool(expected)
    assert step_runs.why_stopped(run(server, "stopped")) == "the run was stopped"
    assert step_runs.why_stopped(run(server, "failed")) == ""


def test_a_run_and_its_parent_are_one_request_and_each_further_level_is_one_more(server: Server) -> None:
    top = run(server, "running")
    middle = run(server, "running", top)
    inner = run(server, "running", middle)

    for asked_for, requests in ((top, 1), (middle, 1), (inner, 2)):
        server.asked.clear()
        step_runs.is_stopping(asked_for.id)
        assert len(server.asked) == requests


def test_a_parent_that_was_stopped_needs_no_question_about_its_own(server: Server) -> None:
    top = run(server, "running")
    middle = run(server, "stopping", top)
    inner = run(server, "running", middle)
    server.asked.clear()

    assert step_runs.is_stopping(inner.id)
    assert len(server.asked) == 1


def test_a_server_without_nested_runs_names_no_root(server: Server) -> None:
    old = SimpleNamespace(id=uuid4(), status=ExecutionStatus.RUNNING)

    assert step_runs.why_stopped(cast("Any", old)) == ""


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("running", ""),
        ("initializing", ""),
        ("stopping", "the run was stopped"),
        ("completed", "the run is over (completed)"),
        ("failed", "the run is over (failed)"),
    ],
)
def test_a_dynamic_run_is_over_when_its_status_says_so(status: str, why: str, server: Server) -> None:
    found = run(server, status)

    assert step_runs.over(found.id) == why


# Step runs.


def test_the_steps_that_have_reported_their_end_are_asked_for_by_status(server: Server) -> None:
    server.pages = [SimpleNamespace(id=STEP_RUN)]
    run_id = uuid4()

    assert step_runs.reported_ends(run_id) == {STEP_RUN}
    assert server.asked == [("steps", {"pipeline_run_id": run_id, "status": 'oneof:["completed", "failed"]'})]


def test_earlier_step_runs_are_those_of_a_lower_version_in_their_order(server: Server) -> None:
    server.pages = [SimpleNamespace(version=version) for version in (3, 1, 4, 2)]
    step = step_run(version=3, pipeline_run_id=uuid4(), project_id=uuid4())

    assert [each.version for each in step_runs.earlier(step)] == [1, 2]
    ((_, filters),) = server.asked
    assert filters == {
        "pipeline_run_id": step.pipeline_run_id,
        "name": "equals:train",
        "project": step.project_id,
        "hydrate": True,
    }


def test_a_step_run_with_its_metadata_is_asked_for_whole(server: Server) -> None:
    assert step_runs.with_metadata(STEP_RUN) is cast("Any", server.step)
    assert server.asked == [("step", True)]


@pytest.mark.parametrize("status", list(ExecutionStatus))
def test_a_step_has_reported_its_end_unless_it_is_on_its_way(status: ExecutionStatus, server: Server) -> None:
    server.step.status = status

    unreported = status.value in {"initializing", "provisioning", "running"}
    assert step_runs.has_reported(step_run()) is not unreported
    assert step_runs.reported_status(step_run()) is status
    assert server.asked == [("step", False)] * 2


def info(source: str | None, message: str | None) -> ExceptionInfo:
    return ExceptionInfo(traceback="", source=source, message=message)


@pytest.mark.parametrize(
    ("reported", "error", "by_code"),
    [
        (None, "", False),
        (info("builtins.ValueError", "no number"), "ValueError: no number", True),
        (info("builtins.ValueError", None), "ValueError", True),
        (info(None, "no number"), "no number", True),
        (info("builtins.ValueError", "no number\nThe Azure ML job of step `a` failed."), "ValueError: no number", True),
        (info("zenml_azureml.exceptions.AzureMLError", "It failed."), "", False),
        (info("somewhere.else.AzureMLError", "It failed."), "", False),
    ],
)
def test_the_error_of_the_steps_own_code_is_what_this_package_did_not_publish(
    reported: ExceptionInfo | None, error: str, by_code: bool, server: Server
) -> None:
    server.step.exception_info = reported

    assert step_runs.reported_failure(STEP_RUN) == error
    assert step_runs.is_reported_by_code(cast("Any", server.step)) is by_code


@pytest.mark.parametrize("message", ["no number", "", None])
def test_azures_information_is_added_to_the_report_of_the_step_once(message: str | None, server: Server) -> None:
    server.step.exception_info = info("builtins.ValueError", message)
    error = AzureMLError("The job failed.", log_tail=("the end",))
    step_runs.add_to_report(step_run(), error)
    step_runs.add_to_report(step_run(), error)

    ((updated, update),) = server.updates
    assert updated == STEP_RUN
    assert update.exception_info.source == "builtins.ValueError"
    assert update.exception_info.message == (f"{message}\n{error.report}" if message else error.report)


def test_nothing_is_added_to_a_step_that_has_no_report(server: Server) -> None:
    step_runs.add_to_report(step_run(), AzureMLError("The job failed."))

    assert server.updates == []


# Ends.

Publish = Callable[[], None]
ERROR = JobFailedError("It failed.", log_tail=("the end of the log",))
ENDS: dict[str, tuple[Publish, ExecutionStatus, AzureMLError | None]] = {
    "completed": (lambda: step_runs.publish_completed(step_run()), ExecutionStatus.COMPLETED, None),
    "failed": (lambda: step_runs.publish_failure(step_run(), ERROR), ExecutionStatus.FAILED, ERROR),
    "stopped": (lambda: step_runs.publish_stopped(step_run()), ExecutionStatus.STOPPED, None),
    "stopped with a cause": (lambda: step_runs.publish_stopped(step_run(), ERROR), ExecutionStatus.STOPPED, ERROR),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_published_with_its_cause(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish, status, error = ENDS[name]
    sent: list[Any] = []

    def update(step: UUID, end: ExecutionStatus, *, exception_info: ExceptionInfo | None) -> None:
        sent.append((step, end, exception_info))

    monkeypatch.setattr(step_runs, "publish_step_run_status_update", update)
    publish()

    ((step, end, information),) = sent
    assert (step, end) == (STEP_RUN, status)
    assert (information is None) is (error is None)
    if information is not None:
        assert information.message == ERROR.report
        assert information.source == "zenml_azureml.exceptions.AzureMLError"
        assert information.traceback == f"JobFailedError: {ERROR.report}"


@pytest.mark.parametrize(("status", "is_known"), [("failed", True), ("stopped", True), ("running", False)])
def test_an_end_that_the_server_knows_already_is_no_error(
    status: str, is_known: bool, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise IllegalOperationError("The step run is finished.")

    monkeypatch.setattr(step_runs, "publish_step_run_status_update", refuse)
    server.step.status = ExecutionStatus(status)
    if is_known:
        step_runs.publish_failure(step_run(), ERROR)
    else:
        with pytest.raises(IllegalOperationError):
            step_runs.publish_failure(step_run(), ERROR)
    assert server.asked == [("step", False)]
