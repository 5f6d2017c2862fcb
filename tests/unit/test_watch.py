"""One watched job, and the passes over many: which are polled, whose log is read, and when a watch gives up."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError

from tests.unit.lifecycle.world import Clock
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.jobs import monitor as monitor_module
from zenml_azureml.azure.jobs import watch as watch_module
from zenml_azureml.azure.jobs.monitor import LISTING_PAYS, JobMonitor, _LogReaders
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.watch import LOG_PATIENCE, MISSING_LOOKS, Watch, WatchOptions
from zenml_azureml.azure.logs.tail import LogEnd

PATIENCE = timedelta(minutes=30)
SECOND = timedelta(seconds=1)


class Follower:
    """The log of a job."""

    def __init__(self, *_arguments: Any) -> None:
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.end = LogEnd(("the end",))
        self.is_complete = True
        self.details = SimpleNamespace(name="the run history")

    def read_new(self) -> list[str]:
        self._note("new lines")
        return ["epoch 1"]

    def tell_rest(self, show: Any) -> Any:
        self._note("the rest")
        show(["epoch 2"])
        return self.details

    def read_end(self) -> Any:
        self._note("the end only")
        return self.details

    def _note(self, what: str) -> None:
        self.calls.append(what)
        if self.error is not None:
            raise self.error


class Watched:
    """A watched job and its log."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, shows: bool = True, tag: str = "run") -> None:
        monkeypatch.setattr(watch_module, "LogFollower", Follower)
        self.clock = Clock()
        self.clock.now = 1000.0
        self.lines: list[str] = []
        self.progress: list[str] = []
        options = WatchOptions(
            tag, PATIENCE, self.lines.append if shows else None, self.progress.append if shows else None
        )
        connection = SimpleNamespace(address=WorkspaceAddress("s", "g", "w"))
        self.watch = Watch(cast("Any", connection), "train", options, self.clock)
        self.job = self.watch.job
        self.follower = cast("Follower", self.watch._follower)

    def settled(self) -> bool:
        return self.job.settled

    def is_pollable(self) -> bool:
        return self.watch.is_pollable

    def is_seen(self, status: str, **more: Any) -> None:
        self.watch.saw(JobSnapshot("train", status, {"a": "b"}, **more))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def status_error(status: int) -> HttpResponseError:
    error = HttpResponseError("no")
    error.status_code = status
    return error


def test_a_running_job_whose_log_is_shown_has_its_log_read_once_in_each_interval(watched: Watched) -> None:
    watched.is_seen("Running")
    assert watched.watch.wants_log(SECOND)
    watched.watch.read_log()
    assert not watched.watch.wants_log(SECOND)
    watched.clock.now += 0.999
    assert not watched.watch.wants_log(SECOND)
    watched.clock.now += 0.001
    assert watched.watch.wants_log(SECOND)
    assert watched.lines == ["epoch 1"]
    assert not watched.settled()


def test_a_log_that_is_not_shown_is_read_at_its_end_only(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, shows=False)
    watched.is_seen("Running")
    assert not watched.watch.wants_log(SECOND)
    watched.is_seen("Completed")
    assert watched.watch.wants_log(SECOND)
    watched.watch.read_log()

    assert watched.follower.calls == ["the end only"]
    assert cast("Any", watched.job.details) is watched.follower.details
    assert (watched.job.settled, watched.job.log_shown) == (True, False)


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_job_that_has_ended_settles_when_the_rest_of_its_log_is_shown(is_complete: bool, watched: Watched) -> None:
    watched.follower.is_complete = is_complete
    watched.is_seen("Failed")
    assert not watched.watch.follows_log
    watched.watch.read_log()

    assert watched.lines == ["epoch 2"]
    assert watched.settled()
    assert watched.job.log_shown is is_complete
    assert watched.job.log_end == LogEnd(("the end",))
    assert not watched.watch.wants_log(SECOND)
    assert not watched.is_pollable()


def test_a_log_that_cannot_be_read_is_left_alone_for_a_while(watched: Watched) -> None:
    watched.is_seen("Running")
    watched.follower.error = ServiceRequestError("reset")
    watched.watch.read_log()
    watched.clock.now += 0.1
    watched.is_seen("Completed")
    assert not watched.watch.wants_log(timedelta())
    watched.clock.now += 60
    assert watched.watch.wants_log(timedelta())
    assert not watched.settled()


def test_a_job_settles_without_its_log_after_two_minutes(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.is_seen("Completed")
    watched.follower.error = ServiceRequestError("reset")
    watched.watch.read_log()
    watched.clock.now += LOG_PATIENCE.total_seconds() - 0.001
    watched.watch.read_log()
    assert not watched.settled()
    watched.clock.now += 0.001
    watched.watch.read_log()

    assert watched.settled()
    assert watched.job.error is None
    assert not watched.job.log_shown
    assert ["cannot be read" in message for message in caplog.messages] == [True]


def test_failures_of_the_log_that_are_over_do_not_count(watched: Watched) -> None:
    watched.is_seen("Completed")
    watched.follower.error = ServiceRequestError("reset")
    watched.watch.read_log()
    watched.is_seen("Running")
    watched.follower.error = None
    watched.watch.read_log()
    watched.is_seen("Completed")
    watched.clock.now += 2 * LOG_PATIENCE.total_seconds()
    watched.follower.error = ServiceRequestError("reset")
    watched.watch.read_log()

    assert not watched.settled()


@pytest.mark.parametrize(("status", "ends_at_once"), [("Completed", True), ("Running", False)])
def test_a_log_that_may_not_be_read_ends_nothing_before_the_job(
    status: str, ends_at_once: bool, watched: Watched
) -> None:
    watched.is_seen(status)
    watched.follower.error = status_error(403)
    watched.watch.read_log()

    assert watched.settled() is ends_at_once


def test_a_fault_of_the_reader_is_tried_again(watched: Watched) -> None:
    watched.is_seen("Completed")
    watched.follower.error = ValueError("a fault")
    watched.watch.read_log()

    assert not watched.settled()


def test_lines_that_cannot_be_shown_are_an_error_of_the_watch(watched: Watched) -> None:
    def broken(_line: str) -> None:
        raise OSError("no terminal")

    watched.watch.options = WatchOptions("run", PATIENCE, broken)
    watched.is_seen("Running")
    watched.watch.read_log()

    assert "no terminal" in str(watched.job.error)


def test_a_poll_updates_the_job_and_keeps_the_page_that_is_known(watched: Watched) -> None:
    watched.is_seen("Running", studio_url="https://studio/1", compute="gpus")
    watched.is_seen("Running", studio_url="https://studio/2", compute="gpus")

    assert (watched.job.studio_url, watched.job.compute, watched.job.status) == ("https://studio/1", "gpus", "Running")
    assert watched.job.tags == {"a": "b"}


def test_a_job_that_waits_says_so_where_its_log_is_shown(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.is_seen("Queued")
    assert len(watched.progress) == 1
    quiet = Watched(monkeypatch, shows=False)
    quiet.is_seen("Queued")
    assert quiet.progress == []


def test_the_time_in_the_queue_is_that_of_the_last_wait_without_interruption(watched: Watched) -> None:
    waited = []
    for status in ("Queued", "Preparing", "Running", "Queued", "Queued"):
        watched.is_seen(status)
        waited.append(watched.job.waited.total_seconds())
        watched.clock.now += 5

    assert waited == [0, 5, 5, 0, 5]


def test_a_change_of_status_makes_the_next_poll_soon(watched: Watched) -> None:
    def is_due(after: float) -> bool:
        return watched.watch.is_due_by(watched.clock.now + after)

    watched.is_seen("Running")
    watched.clock.now += 24 * 3600
    watched.is_seen("Running")
    slow = [seconds for seconds in range(1, 60) if is_due(seconds)]
    watched.is_seen("Queued")
    soon = [seconds for seconds in range(1, 60) if is_due(seconds)]
    watched.clock.now += 24 * 3600
    watched.is_seen("Queued")
    assert soon[0] < slow[0]
    watched.watch.hurry()
    assert [seconds for seconds in range(1, 60) if is_due(seconds)] == soon


def test_failed_polls_are_warned_of_once_and_tried_again_until_the_patience_is_over(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.is_seen("Running")
    watched.watch.on_error(ServiceRequestError("reset"))
    assert not watched.is_pollable()
    watched.clock.now += 120
    assert watched.is_pollable()
    assert watched.watch.is_due_by(watched.clock.now)
    watched.watch.on_error(ServiceRequestError("reset"))
    watched.clock.now += PATIENCE.total_seconds() - 120.001
    watched.watch.on_error(ServiceRequestError("reset"))
    assert not watched.settled()
    watched.clock.now += 0.001
    watched.watch.on_error(ServiceRequestError("reset"))

    assert "zenml-azureml jobs wait train" in str(watched.job.error)
    assert len(caplog.messages) == 1


def test_the_last_try_is_at_the_end_of_the_patience_even_if_azure_asks_for_a_longer_pause(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = status_error(429)
    monkeypatch.setattr(watch_module, "pause_after", lambda _error, _failures: 36_000.0)
    watched.watch.on_error(error)
    assert not watched.is_pollable()

    watched.clock.now += PATIENCE.total_seconds()
    assert watched.is_pollable()
    watched.watch.on_error(error)
    assert watched.settled()


def test_a_poll_that_succeeds_ends_a_row_of_failures(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.watch.on_error(ServiceRequestError("reset"))
    watched.clock.now += PATIENCE.total_seconds() - 1
    watched.is_seen("Running")
    assert watched.is_pollable()
    watched.clock.now += 2
    watched.watch.on_error(ServiceRequestError("reset"))

    assert not watched.settled()
    assert len(caplog.messages) == 2


def test_a_job_is_missing_after_several_polls_in_a_row_only(watched: Watched) -> None:
    missing = ResourceNotFoundError("no such job")
    missing.status_code = 404
    for _ in range(MISSING_LOOKS - 1):
        watched.watch.on_error(missing)
    watched.is_seen("Running")
    for _ in range(MISSING_LOOKS - 1):
        watched.watch.on_error(missing)
    assert not watched.settled()
    watched.watch.on_error(missing)

    assert watched.settled()


@pytest.mark.parametrize(("error", "given_up"), [(status_error(403), True), (status_error(503), False)])
def test_what_no_retry_can_help_ends_the_watch(error: Exception, given_up: bool, watched: Watched) -> None:
    watched.watch.on_error(error)

    assert watched.settled() is given_up


# The passes over the jobs.


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> tuple[JobMonitor, list[Any]]:
    """A monitor that notes how it polls."""
    polled: list[Any] = []
    monitor = JobMonitor(cast("Any", SimpleNamespace()), Clock())

    def by_listing(tag: str, group: list[Watch]) -> int:
        polled.append((tag, len(group)))
        return 1

    def one_by_one(due: list[Watch]) -> int:
        polled.append(len(due))
        return len(due)

    monkeypatch.setattr(monitor, "_look_by_listing", by_listing)
    monkeypatch.setattr(monitor, "_look_one_by_one", one_by_one)
    return monitor, polled


@pytest.mark.parametrize("number", [LISTING_PAYS - 1, LISTING_PAYS, LISTING_PAYS + 1])
@pytest.mark.parametrize("tag", ["run", ""])
def test_a_listing_is_made_for_three_jobs_with_one_tag(
    number: int, tag: str, monitor: tuple[JobMonitor, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    watches = [Watched(monkeypatch, tag=tag).watch for _ in range(number)]
    one, polled = monitor

    is_listed = bool(tag) and number >= LISTING_PAYS
    assert one._look_at(watches, 1000.0) == (1 if is_listed else number)
    assert polled == [(tag, number) if is_listed else number]


def test_jobs_of_which_none_is_due_are_not_listed(
    monitor: tuple[JobMonitor, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Watched(monkeypatch) for _ in range(LISTING_PAYS)]
    for job in jobs:
        job.is_seen("Running")
        job.clock.now += 24 * 3600
        job.is_seen("Running")
    one, polled = monitor

    assert one._look_at([job.watch for job in jobs], jobs[0].clock.now) == 0
    assert polled == [0]


def test_a_poll_that_fails_is_the_jobs_own_and_counts_as_a_request(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status_of(_connection: Any, name: str) -> JobSnapshot:
        raise ServiceRequestError(name)

    monkeypatch.setattr(monitor_module, "get_status_of_one", status_of)
    monitor = JobMonitor(cast("Any", SimpleNamespace()), Clock())

    assert monitor._look_one_by_one([watched.watch, watched.watch]) == 2
    assert watched.watch._status_failures.number == 2


def test_a_job_that_was_asked_to_end_is_polled_soon_if_it_is_watched(
    watched: Watched, monitor: tuple[JobMonitor, list[Any]]
) -> None:
    one, _ = monitor
    one._watches["job"] = watched.watch
    watched.is_seen("Running")
    watched.clock.now += 24 * 3600
    watched.is_seen("Running")
    assert not watched.watch.is_due_by(watched.clock.now + 2)

    one.hurry("another")
    assert not watched.watch.is_due_by(watched.clock.now + 2)
    one.hurry("job")

    assert watched.watch.is_due_by(watched.clock.now + 2)


def test_the_handle_of_a_job_is_known_as_long_as_it_is_watched(
    watched: Watched, monitor: tuple[JobMonitor, list[Any]]
) -> None:
    one, _ = monitor
    one._watches["train"] = watched.watch
    assert one.watched("train") is watched.job
    assert one.watched("another") is None
    one.forget("train")
    assert one.watched("train") is None


def test_of_the_jobs_of_a_listing_the_logs_of_those_that_have_ended_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a further page is read, and before the one that the listing does not have is polled by its name."""
    happened: list[str] = []
    watches = {name: Watched(monkeypatch).watch for name in ("runs", "ended", "left out")}
    for name, watch in watches.items():
        watch.job.name = name

    def listing(_connection: Any, tag: str, names: list[str], saw: Any) -> int:
        assert (tag, names) == ("run", list(watches))
        saw(JobSnapshot("runs", "Running", {}))
        saw(JobSnapshot("ended", "Failed", {}))
        happened.append("the next page")
        return 2

    def by_name(_connection: Any, name: str) -> JobSnapshot:
        happened.append(f"poll {name}")
        return JobSnapshot(name, "Running", {})

    monkeypatch.setattr(monitor_module, "list_statuses", listing)
    monkeypatch.setattr(monitor_module, "get_status_of_one", by_name)
    monitor = JobMonitor(cast("Any", SimpleNamespace()), Clock())
    monkeypatch.setattr(monitor._readers, "read", lambda watch: happened.append(f"read {watch.job.name}"))

    assert monitor._look_by_listing("run", list(watches.values())) == 3
    assert happened == ["read ended", "the next page", "poll left out"]
    assert [watch.job.status for watch in watches.values()] == ["Running", "Failed", "Running"]


class Read:
    """A watch whose log is read; what happens meanwhile is for the test."""

    def __init__(self, name: str, *ended: bool) -> None:
        self.job = SimpleNamespace(name=name, is_over=False, settled=False)
        self.ended = list(ended)
        self.reads = 0

    def read_log(self) -> None:
        self.reads += 1
        if self.ended:
            self.job.is_over = self.ended.pop(0)


def join_readers(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        if thread.name == "zenml-azureml-log-reader":
            thread.join(60)


@pytest.mark.parametrize(("ended", "reads"), [(True, 2), (False, 1)])
def test_a_job_that_ends_while_its_log_is_read_has_the_rest_read_at_once(ended: bool, reads: int) -> None:
    readers, watch, before = _LogReaders(), Read("one", ended), set(threading.enumerate())
    readers.read(cast("Any", watch))
    join_readers(before)

    assert watch.reads == reads
    assert readers._threads == 0
    readers.read(cast("Any", watch))
    join_readers(before)
    assert watch.reads > reads, "it may be read again"
