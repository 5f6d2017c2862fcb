"""Requests are sent no faster than Resource Manager takes them: against its own buckets, on a clock of the test's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.still_time import StillTime
from zenml_azureml.azure.rate_limiter import MARGIN, Pacer, pacer_for
from zenml_azureml.emulator.http.rate_limits import Bucket, limit_of

JOBS = "https://management.azure.com/subscriptions/1/resourceGroups/g/providers/Microsoft.MachineLearningServices/jobs"
HISTORY = "https://westeurope.api.azureml.ms/history/v1.0/subscriptions/1/resourceGroups/g/runs/job/details"
BLOB = "https://account.blob.core.windows.net/azureml/ExperimentRun/dcid.job/user_logs/std_log.txt"


def header(method: str, left: float) -> dict[str, str]:
    return {f"x-ms-ratelimit-remaining-subscription-{limit_of(method).kind}": str(int(left))}


@given(
    st.lists(st.tuples(st.sampled_from(["GET", "PUT", "POST", "DELETE"]), st.floats(0, 2)), max_size=700),
    st.floats(0, 0.5),
)
def test_no_order_and_pace_of_requests_finds_a_bucket_empty(requests: list[tuple[str, float]], jitter: float) -> None:
    time = StillTime()
    pacer = Pacer(time)
    theirs = {
        kind: Bucket(size, rate) for kind, size, rate in (("reads", 250, 25), ("writes", 200, 10), ("deletes", 200, 10))
    }

    for number, (method, pause) in enumerate(requests):
        time.now += pause if pause > 1.9 else 0  # mostly without a pause
        pacer.before(method, JOBS)
        arrival = time.now + jitter * (number % 2)  # every other one takes a longer way
        bucket = theirs[limit_of(method).kind]
        assert not bucket.seconds_to_next(arrival)
        bucket.take(arrival)


def test_what_is_sent_at_once_and_then_per_second_is_what_the_limits_allow() -> None:
    time = StillTime()
    pacer = Pacer(time)

    for _ in range(1000):
        pacer.before("PUT", JOBS)

    assert time.now == pytest.approx((1000 - (200 - MARGIN)) / 10)


def test_other_processes_of_the_same_principal_are_made_room_for() -> None:
    """Two that know of each other only by what the answers say share what there is, and are refused nothing."""
    times = StillTime(), StillTime()
    pacers = tuple(Pacer(time) for time in times)
    bucket = Bucket(200, 10)
    sent = [0, 0]

    while max(time.now for time in times) < 200:
        mine = 0 if times[0].now <= times[1].now else 1  # whoever is behind
        pacers[mine].before("PUT", JOBS)
        assert not bucket.seconds_to_next(times[mine].now)
        bucket.take(times[mine].now)
        pacers[mine].after("PUT", JOBS, header("PUT", bucket.remaining(times[mine].now)))
        sent[mine] += 1

    assert sum(sent) > 200 * 10 * 0.95
    assert abs(sent[0] - sent[1]) < 0.1 * sum(sent)


def test_an_answer_that_later_requests_have_overtaken_allows_no_further_ones() -> None:
    time = StillTime()
    pacer = Pacer(time)

    for _ in range(100):
        pacer.before("GET", JOBS)
    pacer.after("GET", JOBS, header("GET", 249))  # the answer to the first of them
    for _ in range(250 - MARGIN - 100):
        pacer.before("GET", JOBS)
    assert time.now == 0

    pacer.before("GET", JOBS)
    assert time.now > 0


@pytest.mark.parametrize("url", [HISTORY, BLOB, "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"])
def test_what_is_not_for_resource_manager_does_not_wait(url: str) -> None:
    time = StillTime()
    pacer = Pacer(time)

    for _ in range(1000):
        pacer.before("GET", url)
    pacer.after("GET", url, header("GET", 0))
    pacer.before("GET", JOBS)

    assert time.now == 0


@pytest.mark.parametrize("left", ["11999", "", "many"])
def test_numbers_of_other_limits_change_nothing(left: str) -> None:
    time = StillTime()
    pacer = Pacer(time)

    pacer.after("PUT", JOBS, {"x-ms-ratelimit-remaining-subscription-writes": left})
    for _ in range(200 - MARGIN):
        pacer.before("PUT", JOBS)

    assert time.now == 0


def test_one_process_has_one_pacer_for_a_subscription_in_a_cloud() -> None:
    time = StillTime()
    with ThreadPoolExecutor(16) as threads:
        pacers = list(threads.map(lambda _: pacer_for("https://management.azure.com", "A", time), range(64)))

    assert len(set(map(id, pacers))) == 1
    assert pacer_for("https://management.azure.com", "a", time) is pacers[0]
    assert pacer_for("https://management.azure.com", "B", time) is not pacers[0]
    assert pacer_for("https://management.chinacloudapi.cn", "A", time) is not pacers[0]
    assert pacer_for("https://management.azure.com", "A", StillTime()) is not pacers[0]
