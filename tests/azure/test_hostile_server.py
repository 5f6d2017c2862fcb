"""A hostile or broken server: each of its behaviours has one outcome, which names what failed and the address."""

from __future__ import annotations

import itertools
import logging
import tracemalloc
from datetime import timedelta

import pytest
from azure.core.exceptions import AzureError

from tests.azure.hostile_cases import (
    CASES,
    ELSEWHERE,
    FOREIGN,
    JOBS,
    NO_LOG,
    body,
    endless,
    log_at,
    next_link,
    value,
)
from tests.azure.hostile_client import (
    TOKEN,
    Client,
    create_compute,
    find,
    list_all,
    list_secrets,
    look,
    look_at_all,
    read_log,
    submit,
)
from tests.azure.hostile_server import WORKSPACE, Handler
from zenml_azureml.azure import responses
from zenml_azureml.azure.jobs.details import describe_job
from zenml_azureml.azure.logs import streamer
from zenml_azureml.azure.logs.streamer import LogFollower
from zenml_azureml.azure.retry import with_retries
from zenml_azureml.azure.transport import LARGEST_ANSWER
from zenml_azureml.clock import SystemTime
from zenml_azureml.exceptions import AzureMLError


@pytest.mark.parametrize("name", CASES)
def test_each_behaviour_of_a_server_has_one_outcome(name: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MOST_PAGES", 20)
    case = CASES[name]
    client.when(case.path, case.behaviour)

    error = client.error_of(case.action)

    assert client.said(error).partition("\n")[0] == case.said.replace(WORKSPACE, "/W")
    assert sum(client.slept) < 10
    assert "SIGNATURE" not in str(error)
    assert TOKEN not in str(error)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"{ELSEWHERE}/log?sig=SIGNATURE", ELSEWHERE),
        ("http://127.0.0.1/log", "http://127.0.0.1"),
        ("https://169.254.169.254/metadata", "https://169.254.169.254"),
        ("file:///etc/passwd", "an address that cannot be read"),
        (
            "https://account.blob.core.windows.net.elsewhere.example/log",
            "https://account.blob.core.windows.net.elsewhere.example",
        ),
    ],
)
def test_a_log_on_another_host_is_not_read_and_is_no_error(url: str, shown: str, client: Client) -> None:
    client.when("/details", log_at(url))

    assert read_log(client) == [NO_LOG.format(shown)]


def test_no_token_goes_to_another_port_of_the_same_host(client: Client) -> None:
    client.when("/jobs", next_link(f"{client.elsewhere.url}{JOBS}"))
    client.when("/discovery", value({"api": client.elsewhere.url}))
    client.when("/job-1", body("", 307, Location=f"{client.elsewhere.url}/x"))

    for action in (list_all, look_at_all, find, read_log):
        client.error_of(action)

    assert client.elsewhere.requests == []
    assert client.server.tokens


@pytest.mark.parametrize("header", ["Azure-AsyncOperation", "Location"])
def test_an_operation_on_another_host_is_not_followed(header: str, client: Client) -> None:
    def accept(handler: Handler) -> None:
        if handler.command == "GET":
            handler.json({"error": {"code": "NotFound", "message": "no compute"}}, 404)
            return
        name = {"name": "cpu", "properties": {"computeType": "AmlCompute", "provisioningState": "Creating"}}
        handler.json(name, 201, **{header: f"{client.elsewhere.url}/operation"})

    client.when("/computes/cpu", accept)

    error = client.error_of(create_compute)

    assert client.said(error) == FOREIGN.format("ELSEWHERE")
    assert client.elsewhere.requests == []


@pytest.mark.parametrize("resource", ["https://management.azure.com", "https://vault.azure.net"])
def test_a_vault_gets_no_other_token_than_one_for_key_vaults(resource: str, client: Client) -> None:
    challenge = f'Bearer authorization="{client.elsewhere.url}/tenant", resource="{resource}"'
    client.when("/secrets", body("", 401, WWW_Authenticate=challenge))

    error = client.error_of(list_secrets)

    assert "signed in, but its tokens are refused" in str(error)
    assert client.credential.scopes == {"https://vault.azure.net/.default"}
    assert len(client.server.requests) == 2
    assert client.elsewhere.requests == []


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nx-ms-version: 1\r\nContent-Length: 1000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-ms-version: 1\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_log_server_that_ignores_ranges_costs_no_more_than_a_part(start: bytes, client: Client) -> None:
    client.stop_clock()
    client.when("/log", endless(start, b"x" * 65_536))
    tracemalloc.start()
    try:
        error = client.error_of(read_log)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert client.said(error) == "127.0.0.1 sent more than 4,194,304 bytes in one answer."
    assert most < 32_000_000


def test_an_answer_that_is_too_long_is_not_read_to_its_end(client: Client) -> None:
    client.stop_clock()
    client.when("/jobs", endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b" " * 65_536))

    error = client.error_of(look_at_all)

    assert client.said(error) == f"127.0.0.1 sent more than {LARGEST_ANSWER:,} bytes in one answer."


def test_a_log_that_never_ends_is_read_for_half_an_hour(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamer, "BYTES_PER_LOOK", 1000)

    def more(handler: Handler) -> None:
        first, last = (int(number) for number in handler.headers["Range"].removeprefix("bytes=").split("-"))
        handler.blob(bytes(last - first + 1), 206, Content_Range=f"bytes {first}-{last}/99999999999999")

    client.stop_clock()
    client.when("/log", more)
    minutes = itertools.count()
    follower = LogFollower(client.connection, "job-1", lambda: 60.0 * next(minutes))

    with pytest.raises(AzureError, match="that takes longer than 30 minutes"):
        follower.tell_rest(lambda _lines: None)


def test_only_the_first_logs_of_a_job_with_many_logs_are_followed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer, "MOST_FILES", 3)
    urls = {f"user_logs/std_log_process_{number:02}.txt": f"{client.server.url}/log" for number in range(50)}
    client.when("/details", value({"logFiles": urls}))

    lines = read_log(client)

    assert lines[0] == "The job has 50 logs; 3 of them are shown. Studio has all of them."
    assert lines[1:] == [f"[process {number}] {word}" for number in range(3) for word in ("one", "two")]


@pytest.mark.parametrize(
    ("wish", "pause"),
    [
        ("100000", 30.0),
        ("inf", 30.0),
        ("1e400", 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 30.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 0.0),
        ("nan", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("2", 2.0),
    ],
)
@pytest.mark.parametrize("header", ["Retry-After", "x-ms-retry-after-ms"])
def test_a_pause_of_the_sdks_own_retries_is_capped_and_logged(
    header: str, wish: str, pause: float, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.when("/job-1", lambda handler: handler.raw(429, {header: wish, "Content-Length": "0"}))

    with caplog.at_level(logging.INFO, "zenml_azureml"):
        client.error_of(find)

    in_ms = header.endswith("ms") and pause in (2.0,)
    expected = pause / 1000 if in_ms else pause
    without_a_wish = [0.0, 1.6, 3.2]  # azure-core's own
    assert len(client.slept) <= 3
    assert all(slept <= 30 for slept in client.slept)
    if pause:
        assert client.slept == pytest.approx([expected] * 3)
    else:
        assert set(client.slept) <= set(without_a_wish)
    said = [record.getMessage() for record in caplog.records if "pause of" in record.getMessage()]
    assert len(said) == (3 if pause == 30 else 0)


def test_the_sdks_pauses_end_with_the_timeout(client: Client) -> None:
    class Time(SystemTime):
        def monotonic(self) -> float:
            return sum(client.slept)

        def sleep(self, seconds: float) -> None:
            client.slept.append(seconds)

    client.when("/job-1", lambda handler: handler.raw(429, {"Retry-After": "100000", "Content-Length": "0"}))

    with pytest.raises(AzureMLError):
        with_retries("asking", lambda: find(client), timedelta(seconds=40), Time())

    assert sum(client.slept) == 40


def test_what_is_expected_works(client: Client) -> None:
    assert find(client)
    assert look(client)
    assert list_all(client)
    assert submit(client)
    assert read_log(client) == ["one", "two"]
    assert describe_job(client.connection, "job-1") is not None
    assert len(CASES) >= 40
