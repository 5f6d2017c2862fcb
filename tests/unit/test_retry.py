"""When Azure is asked again, and for how long."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.retry import is_transient, pause_after, with_retries
from zenml_azureml.clock import SystemTime
from zenml_azureml.exceptions import AzureMLError

PATIENCE = timedelta(minutes=30)


class ManualTime(SystemTime):
    """Passes only while somebody sleeps; in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        self.sleep(seconds or 0)
        return event.is_set()


class Answer:
    """As much of an HTTP answer as an error needs."""

    reason = "because"
    request = None

    def __init__(self, status: int, **headers: str) -> None:
        self.status_code = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def text(self) -> str:
        return ""


def refusal(status: int, **headers: str) -> HttpResponseError:
    return HttpResponseError(response=Answer(status, **headers))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_throttling_and_faults_of_the_service_pass(status: int) -> None:
    assert is_transient(refusal(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 501])
def test_what_azure_refuses_stays_refused(status: int) -> None:
    assert not is_transient(refusal(status))


@pytest.mark.parametrize("error", [ServiceRequestError("no such host"), ServiceResponseError("connection reset")])
def test_a_network_that_fails_passes_also_on_the_way_to_the_login(error: AzureError) -> None:
    login = ClientAuthenticationError("cannot sign in")
    login.__cause__ = error

    assert is_transient(error)
    assert is_transient(login)
    assert not is_transient(ClientAuthenticationError("AADSTS7000215"))


def test_an_error_that_is_explained_already_is_judged_by_its_cause() -> None:
    explained = AzureMLError("Submitting failed.")
    explained.__cause__ = refusal(503)

    assert is_transient(explained)
    assert not is_transient(AzureMLError("There is no image."))


@given(failures=st.integers(1, 10_000), draw=st.floats(0, 1))
def test_pauses_grow_to_half_a_minute_and_differ(failures: int, draw: float) -> None:
    pause = pause_after(refusal(503), failures, lambda: draw)

    longest = min(30.0, 2.0 ** min(failures - 1, 10))
    assert longest / 2 <= pause <= longest
    assert pause_after(refusal(503), failures, lambda: 0) < pause_after(refusal(503), failures, lambda: 1)


@given(failures=st.integers(1, 20), seconds=st.integers(0, 100_000))
def test_azures_own_wish_is_kept(failures: int, seconds: int) -> None:
    assert pause_after(refusal(429, Retry_After=str(seconds)), failures) >= seconds


@pytest.mark.parametrize("nonsense", ["soon", "", "Tue"])
def test_a_wish_that_cannot_be_read_is_none(nonsense: str) -> None:
    assert pause_after(refusal(429, Retry_After=nonsense), 1) <= 1


@given(st.lists(st.sampled_from([429, 500, 503]), max_size=8))
def test_what_fails_for_a_while_is_done_in_the_end(statuses: list[int]) -> None:
    left, time = [*statuses], ManualTime()

    def work() -> str:
        if left:
            raise refusal(left.pop())
        return "done"

    assert with_retries("asking", work, PATIENCE, time) == "done"
    assert len(time.slept) == len(statuses)


def test_patience_ends_with_the_last_error_and_not_before() -> None:
    time, asked = ManualTime(), []

    def work() -> None:
        asked.append(time.now)
        raise refusal(503, Retry_After="7000")

    with pytest.raises(HttpResponseError):
        with_retries("asking", work, PATIENCE, time)

    # However long Azure asks to wait: when the time is over it is asked for the last time.
    assert asked == [0, PATIENCE.total_seconds()]


def test_what_cannot_pass_is_not_tried_again() -> None:
    time, asked = ManualTime(), []

    def work() -> None:
        asked.append(time.now)
        raise refusal(403)

    with pytest.raises(HttpResponseError):
        with_retries("asking", work, PATIENCE, time)

    assert asked == [0]


def test_whoever_must_not_try_again_says_so_between_two_tries() -> None:
    def check() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        raise refusal(503)

    with pytest.raises(KeyboardInterrupt):
        with_retries("asking", work, PATIENCE, ManualTime(), check=check)


@pytest.mark.parametrize(("seconds", "reported"), [(60, True), (59, False)])
def test_only_a_long_pause_is_reported(seconds: int, reported: bool, caplog: pytest.LogCaptureFixture) -> None:
    time, failures = ManualTime(), [refusal(429, Retry_After=str(seconds))]

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert with_retries("list the jobs", work, PATIENCE, time) == "done"

    assert time.slept == [seconds]
    assert (
        f"Azure asks for a pause of {seconds} s before the next attempt to list the jobs" in caplog.text
    ) is reported
