"""Which finished jobs are listed because ZenML's server does not know that they have ended."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zenml_azureml import tags
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.job_admin.inventory import ends_unknown_to

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Server:
    """A ZenML server on which these step runs are running."""

    def __init__(self, *running: str, server_id: str | None = "mine") -> None:
        self.id = server_id
        self.running = frozenset(running)
        self.asked = 0

    def unfinished_step_runs(self) -> frozenset[str]:
        self.asked += 1
        return self.running


def job(name: str, step_run: str, status: str = "Failed", *, minutes: int | None = 0, server: str = "mine") -> Any:
    created = None if minutes is None else NOW + timedelta(minutes=minutes)
    job_tags = {tags.STEP_RUN_ID: step_run, tags.SERVER_ID: server}
    return SimpleNamespace(), JobSnapshot(name, status, job_tags, created_at=created)


def unknown(server: Server, *found: Any) -> set[str]:
    return set(ends_unknown_to(cast("Any", server), found))


@pytest.mark.parametrize("status", ["Failed", "Completed", "Canceled"])
def test_a_finished_job_whose_step_run_is_running_is_listed(status: str) -> None:
    assert unknown(Server("a"), job("one", "a", status), job("two", "b", status)) == {"one"}


def test_of_several_jobs_of_a_step_run_only_the_newest_is_listed() -> None:
    jobs = [job("first", "a", minutes=0), job("third", "a", minutes=2), job("second", "a", minutes=1)]

    assert unknown(Server("a"), *jobs) == {"third"}
    assert unknown(Server("a"), *reversed(jobs)) == {"third"}
    assert unknown(Server("a"), job("unknown", "a", minutes=None), *jobs) == {"third"}


def test_a_step_run_with_a_job_that_runs_is_not_listed() -> None:
    server = Server("a")

    assert unknown(server, job("first", "a"), job("second", "a", "Running", minutes=1)) == set()
    assert server.asked == 0


def test_jobs_of_another_server_are_not_listed_and_no_server_is_asked_about_them() -> None:
    server = Server("a")

    assert unknown(server, job("one", "a", server="another")) == set()
    assert server.asked == 0


def test_nothing_is_listed_if_the_server_is_unavailable() -> None:
    assert unknown(Server("a", server_id=None), job("one", "a")) == set()
