"""For how long ZenML's server is asked again, and what ends that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from zenml.exceptions import RunInterruptedException, RunStoppedException

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.server_retries import ServerRetries, ServerUnavailableError, ask, retrying

TIMEOUT = timedelta(minutes=30)

#: So many looks at the clock are a wait without an end.
MOST_LOOKS = 100_000


class Clock:
    """Time that passes only where it is slept; a wait for an event is real."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        assert self.looks < MOST_LOOKS, "it waits without an end"
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(30)


class HangingClock(Clock):
    """Time in which every wait for an event is in vain."""

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        self.now += seconds or 0
        return False


class Server:
    """Answers from some moment on."""

    def __init__(self, clock: Clock, back_at: float, error: Callable[[], Exception] | None = None) -> None:
        self.clock = clock
        self.back_at = back_at
        self.requests: list[float] = []
        self.error = error or (lambda: requests.ConnectionError("Connection refused"))

    def __call__(self) -> str:
        self.requests.append(self.clock.now)
        if self.clock.now < self.back_at:
            raise self.error()
        return "the answer"


def test_a_server_that_comes_back_within_the_time_is_asked_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    server = Server(clock, back_at=180)

    with retrying(ServerRetries(TIMEOUT, clock)):
        assert ask("saving the job", server) == "the answer"

    assert 180 <= server.requests[-1] < 200
    (warning,) = caplog.messages
    assert warning == ("ZenML's server is unavailable (saving the job). Retrying for 30 minutes: Connection refused")


def test_a_server_that_stays_away_is_given_up_when_the_time_is_over() -> None:
    clock = Clock()
    server = Server(clock, back_at=1e9)

    with pytest.raises(ServerUnavailableError) as caught, retrying(ServerRetries(TIMEOUT, clock)):
        ask("saving the job", server)

    assert clock.now == 1800
    assert server.requests[-1] == 1800  # a last attempt when the time is over
    assert str(caught.value) == ("ZenML's server was unavailable for 30 minutes (saving the job): Connection refused")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_requests_that_fail_in_a_row_share_the_time_and_an_answer_gives_it_back() -> None:
    clock = Clock()
    retries = ServerRetries(TIMEOUT, clock)
    with pytest.raises(ServerUnavailableError):
        retries.run("the first", Server(clock, back_at=1e9))
    failing = [retries.failing]
    second = Server(clock, back_at=1e9)
    with pytest.raises(ServerUnavailableError):
        retries.run("the second", second)
    assert second.requests == [1800]

    assert retries.run("the third", Server(clock, back_at=0)) == "the answer"
    assert [*failing, retries.failing] == [True, False]
    assert retries.run("the fourth", Server(clock, back_at=3000)) == "the answer"


def test_any_other_error_is_raised_at_once() -> None:
    clock = Clock()
    server = Server(clock, back_at=1e9, error=lambda: KeyError("no such step"))

    with pytest.raises(KeyError), retrying(ServerRetries(TIMEOUT, clock)):
        ask("looking up a step", server)

    assert server.requests == [0]


def test_without_retries_in_force_there_is_one_attempt_with_the_error_as_it_is() -> None:
    server = Server(Clock(), back_at=1e9)

    with pytest.raises(requests.ConnectionError):
        ask("saving the job", server)
    with pytest.raises(requests.ConnectionError), retrying(ServerRetries(TIMEOUT)), retrying(None):
        ask("saving the job", server)

    assert len(server.requests) == 2


def test_a_signal_ends_the_pause_between_two_attempts() -> None:
    clock = Clock()

    def check() -> None:
        if clock.now > 100:
            raise RunInterruptedException("a signal")

    with pytest.raises(RunInterruptedException):
        ServerRetries(TIMEOUT, clock, check).run("saving the job", Server(clock, back_at=1e9))

    assert 100 < clock.now <= 100.6


def test_a_signal_ends_a_request_that_gets_no_answer() -> None:
    clock = HangingClock()
    release = threading.Event()

    def check() -> None:
        if clock.now > 3:
            raise RunInterruptedException("a signal")

    with pytest.raises(RunInterruptedException):
        ServerRetries(TIMEOUT, clock, check).run("saving the job", lambda: release.wait(60))
    release.set()

    assert clock.now == 3.5


def test_a_request_without_an_answer_is_given_up_when_the_time_is_over() -> None:
    clock = HangingClock()
    release = threading.Event()

    with pytest.raises(ServerUnavailableError, match=r"30 minutes \(saving the job\): The server has not answered"):
        ServerRetries(TIMEOUT, clock).run("saving the job", lambda: release.wait(60))
    release.set()

    assert clock.now == 1800


def test_a_run_that_is_stopped_on_the_server_ends_the_retries_before_the_next_attempt() -> None:
    clock = Clock()
    server = Server(clock, back_at=1e9)

    def check_stopped() -> None:
        if clock.now > 60:
            raise RunStoppedException("The pipeline run was stopped.")

    with pytest.raises(RunStoppedException) as caught:
        ServerRetries(TIMEOUT, clock, check_stopped=check_stopped).run("saving the job", server)

    assert not isinstance(caught.value, ServerUnavailableError)
    assert max(server.requests) <= 60


def test_the_first_attempt_does_not_ask_whether_the_run_is_stopped() -> None:
    asked: list[None] = []

    ServerRetries(TIMEOUT, Clock(), check_stopped=lambda: asked.append(None)).run("saving", lambda: "")

    assert asked == []


def test_the_error_shows_what_the_server_has_not_learned_and_the_command_once() -> None:
    away = ServerUnavailableError("ZenML's server was unavailable for 30 minutes (saving): refused")

    error = away.explaining(AzureMLError("The job failed: out of memory."), "zenml-azureml jobs wait zenml-1")

    assert str(error) == (
        "The job failed: out of memory.\n"
        "ZenML's server was unavailable for 30 minutes (saving): refused. "
        "The server does not know how the step ended. When it is available again, run:\n"
        "  zenml-azureml jobs wait zenml-1"
    )
    assert error.explaining(AzureMLError("another"), "another command") is error
