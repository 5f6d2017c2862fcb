"""How long Azure may have its clients wait."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest
from azure.core.pipeline.policies import RetryPolicy
from hypothesis import example, given
from hypothesis import strategies as st

from zenml_azureml.azure.retry_after import (
    LONGEST_PAUSE_SECONDS,
    LONGEST_WISH_SECONDS,
    capped,
    make_readable,
    wished_pause,
    within,
)

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("-5", 0.0),
        ("inf", LONGEST_WISH_SECONDS),
        ("-inf", 0.0),
        ("nan", None),
        ("100000", 100_000.0),
        ("1e400", LONGEST_WISH_SECONDS),
        ("Thu, 01 Jan 2026 00:00:10 GMT", 10.0),
        ("Thu, 01 Jan 2026 00:00:10 -0000", 10.0),
        ("Thu, 01 Jan 2026 01:00:10 +0100", 10.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WISH_SECONDS),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Thu, 32 Jan 2026 00:00:10 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_wish_is_read_with_care(text: str, seconds: float | None) -> None:
    assert wished_pause(text, NOW) == seconds


@given(st.text(max_size=40) | st.floats().map(str) | st.integers().map(str))
@example("Fri, 31 Dec 9999 23:59:59 -9999")
def test_what_azure_core_reads_after_that_is_a_number_of_seconds(text: str) -> None:
    headers = {"Retry-After": text}

    make_readable(headers)

    if "Retry-After" in headers:
        seconds = RetryPolicy().parse_retry_after(headers["Retry-After"])
        assert 0 <= seconds <= LONGEST_WISH_SECONDS


@given(st.floats())
def test_a_pause_is_never_longer_than_the_cap_or_what_is_left(seconds: float) -> None:
    assert 0 <= capped(seconds) <= LONGEST_PAUSE_SECONDS
    with within(lambda: 3.0):
        assert 0 <= capped(seconds) <= 3
    with within(lambda: -math.inf):
        assert capped(seconds) == 0


def test_a_timeout_limits_the_pauses_within_it_and_no_later_ones() -> None:
    assert capped(10) == 10
    with within(lambda: 3.0):
        assert capped(10) == 3
    assert capped(10) == 10


def test_a_pause_of_ten_seconds_or_more_is_said_and_a_shortened_one_with_what_was_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        for seconds in (9.0, 10.0, 100.0):
            capped(seconds)

    assert caplog.messages == [
        "Pausing for 10 s before the next request to Azure",
        "Azure asks for a pause of 100 s; the next request follows in 30 s",
    ]
