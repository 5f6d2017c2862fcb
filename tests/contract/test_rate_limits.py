"""Azure Resource Manager's limits: token buckets that a client sees in headers, and in a 429 where they are empty."""

from __future__ import annotations

import json

import pytest

from tests.contract.arm import Answer, Arm
from tests.parity.exchange import HERE
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.http.rate_limits import Bucket

LEFT = "x-ms-ratelimit-remaining-subscription"


@pytest.fixture
def still(slow: Emulator) -> Arm:
    """An emulator in which no token comes in unless the test moves the clock."""
    return Arm(slow)


def write(arm: Arm) -> Answer:
    """A request that is counted, whatever comes of it."""
    return arm.call("POST", "jobs/nowhere/cancel")


@pytest.mark.parametrize(
    ("recording", "method", "path"),
    [
        ("job_get_cluster_preparing_2026", "GET", "jobs"),
        ("compute_operation_inprogress_2026", "GET", "jobs"),
        ("compute_aml_delete_2026", "DELETE", "computes/nowhere"),
        ("environment_put_anonymous_2026", "POST", "jobs/nowhere/cancel"),
    ],
)
def test_a_first_answer_has_the_recorded_headers(still: Arm, recording: str, method: str, path: str) -> None:
    # Not from cloud-custodian's recordings, whose recorder drops the header with the principal's remaining reads.
    headers = json.loads((HERE / "recordings" / f"{recording}.json").read_text())["response_headers"]
    theirs = {name: value for name, value in headers.items() if name.startswith(LEFT)}

    mine = {name: value for name, value in still.call(method, path).headers.items() if name.startswith(LEFT)}

    assert mine == theirs


def test_what_is_left_is_counted_down_and_comes_in_again(still: Arm, clock: ManualClock) -> None:
    left = [int(write(still).headers[f"{LEFT}-writes"]) for _ in range(3)]
    assert left == [199, 198, 197]

    still.emulator.run(clock.advance(0.2))

    assert write(still).headers[f"{LEFT}-writes"] == "198"


def test_too_many_writes_are_refused_until_a_token_has_come_in(still: Arm, clock: ManualClock) -> None:
    assert {write(still).status for _ in range(200)} == {404}

    refused = write(still)

    assert refused.status == 429
    assert refused.body["error"]["code"] == "SubscriptionRequestsThrottled"
    assert "Number of 'write' requests for subscription" in refused.body["error"]["message"]
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers[f"{LEFT}-writes"] == "0"
    assert still.call("GET", "jobs").status == 200  # reads have a bucket of their own
    still.emulator.run(clock.advance(0.1))
    assert [write(still).status for _ in range(2)] == [404, 429]


def test_another_subscription_has_buckets_of_its_own(still: Arm) -> None:
    elsewhere = "/subscriptions/11111111-0000-0000-0000-000000000000/resourceGroups"
    still.call("GET", elsewhere)

    answer = still.call("GET", "jobs")

    assert answer.headers[f"{LEFT}-global-reads"] == "3749"


def test_the_limits_can_be_switched_off_and_are_full_after_a_reset(still: Arm) -> None:
    assert still.call("POST", "/_emulator/settings", {"rate_limits": False}).status == 200
    assert {write(still).headers[f"{LEFT}-writes"] for _ in range(3)} == {"199"}
    assert still.call("POST", "/_emulator/settings", {"rate_limits": True}).status == 200
    write(still)
    write(still)

    assert still.call("POST", "/_emulator/reset").status == 204

    assert write(still).headers[f"{LEFT}-writes"] == "199"


def test_a_bucket_gives_what_it_holds_and_then_what_comes_in() -> None:
    bucket = Bucket(3, 8)

    taken = 0
    for tick in range(641):  # ten seconds
        now = tick / 64
        while not bucket.seconds_to_next(now):
            bucket.take(now)
            taken += 1

    assert taken == 3 + 10 * 8
