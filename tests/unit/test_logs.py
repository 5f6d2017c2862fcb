"""A job's log, followed: each line once, whole, and in order."""

from __future__ import annotations

import pytest
from azure.identity import ClientSecretCredential

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.state import Job
from zenml_azureml.request import JobRequest
from zenml_azureml.workspace.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.workspace.job import JobSubmitter
from zenml_azureml.workspace.logs import LogFollower, fetch_run_details
from zenml_azureml.workspace.placement import ANYWHERE


@pytest.fixture
def connection(emulator: Emulator, credential: ClientSecretCredential) -> WorkspaceConnection:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    return WorkspaceConnection(address, lambda: credential)


@pytest.fixture
def job(emulator: Emulator, connection: WorkspaceConnection) -> Job:
    """A job that runs, and has logged nothing yet."""
    emulator.context.settings.simulated_seconds = 3600
    emulator.context.settings.simulated_lines = 0
    request = JobRequest("job", "job", "tests", "image", "true", environment_variables={}, tags={})
    JobSubmitter(connection).submit(request, ANYWHERE)
    (job,) = emulator.context.store.workspaces[0].jobs.values()
    eventually(lambda: job.status == "Running")
    return job


@pytest.fixture
def follower(connection: WorkspaceConnection, job: Job) -> LogFollower:
    return LogFollower(connection, job.name)


def write(job: Job, data: bytes, name: str = "std_log.txt") -> None:
    with (job.log_folder / name).open("ab") as log:
        log.write(data)


def test_a_line_is_read_when_it_is_complete_and_only_once(follower: LogFollower, job: Job) -> None:
    write(job, b"one\ntw")
    assert follower.read_new() == ["one"]
    assert follower.read_new() == []
    write(job, b"o\nthree\n")
    assert follower.read_new() == ["two", "three"]


def test_a_letter_that_is_cut_in_two_is_put_together(follower: LogFollower, job: Job) -> None:
    letter = "ü".encode()
    write(job, b"gr" + letter[:1])
    assert follower.read_new() == []
    write(job, letter[1:] + b"n\n")
    assert follower.read_new() == ["grün"]


def test_bytes_that_are_no_text_do_not_end_the_log(follower: LogFollower, job: Job) -> None:
    write(job, b"\xff\xfe\nnext\n")

    assert follower.read_new() == ["\ufffd\ufffd", "next"]


def test_line_ends_of_windows_are_taken_off(follower: LogFollower, job: Job) -> None:
    write(job, b"one\r\ntwo\r\n")

    assert follower.read_new() == ["one", "two"]


def test_at_the_end_an_unfinished_line_is_told_too(follower: LogFollower, job: Job) -> None:
    write(job, b"one\nlast wor")
    assert follower.read_new() == ["one"]

    lines, details = follower.read_rest()

    assert lines == ["last wor"]
    assert details.status == "Running"
    assert follower.read_rest()[0] == []


def test_only_what_is_new_is_sent(follower: LogFollower, job: Job, emulator: Emulator) -> None:
    write(job, b"x" * 100_000 + b"\n")
    follower.read_new()
    write(job, b"new\n")
    follower.read_new()

    first, second = (r["bytes_sent"] for r in requests_of(emulator) if r["path"].endswith("std_log.txt"))
    assert first > 100_000
    assert second < 2_000


def test_every_process_of_the_job_is_heard_and_nothing_else_in_its_folder(follower: LogFollower, job: Job) -> None:
    write(job, b"of the first\n", "std_log_process_0.txt")
    write(job, b"of the second\n", "std_log_process_1.txt")
    write(job, b"nothing for a user\n", "other.txt")

    assert follower.read_new() == ["of the first", "of the second"]


def test_an_expired_url_is_replaced_and_no_line_is_lost(follower: LogFollower, job: Job, emulator: Emulator) -> None:
    write(job, b"before\n")
    assert follower.read_new() == ["before"]
    # As the service refuses an expired SAS.
    Arm(emulator).call("POST", "/_emulator/faults", {"path": "std_log", "status": 403})
    write(job, b"after\n")

    assert follower.read_new() == []  # refused: it asks for a new URL next time
    assert follower.read_new() == ["after"]


def test_the_end_of_the_log_is_kept_without_what_colours_a_terminal(follower: LogFollower, job: Job) -> None:
    write(job, b"".join(b"\x1b[31mline %d\x1b[0m\n" % number for number in range(30)))

    lines = follower.read_new()

    assert lines[0] == "\x1b[31mline 0\x1b[0m"  # for the client's terminal
    assert list(follower.tail) == [f"line {number}" for number in range(10, 30)]


def test_urls_of_logs_are_no_part_of_a_repr(connection: WorkspaceConnection, job: Job) -> None:
    write(job, b"one\n")

    details = fetch_run_details(connection, job.name)

    assert list(details.log_urls) == ["user_logs/std_log.txt"]
    assert "sig=" in details.log_urls["user_logs/std_log.txt"]
    assert "sig=" not in repr(details)
