"""What `make sdk-tests` says of the SDK's tests."""

from __future__ import annotations

import pytest

from tests.sdk_e2e.outcomes import FAILED, NEEDS_FILE, NOT_SERVED, PASSED, SKIPPED, Outcome, counts, outcome_of
from tests.sdk_e2e.page import BEGIN, END, PAGE

_MESSAGE = '{"error":{"code":"NotEmulated","message":"%s is not emulated. This emulator does not have it; ..."}}'


@pytest.mark.parametrize(
    ("outcome", "text", "not_served", "kind", "detail"),
    [
        ("passed", "", "", PASSED, ""),
        ("skipped", "Skipped: flaky test", "", SKIPPED, "flaky test"),
        ("failed", "E   Error", _MESSAGE % "The operation GET a/b", NOT_SERVED, "GET a/b"),
        ("failed", "E   Error", _MESSAGE % "A job of the type 'Sweep'", NOT_SERVED, "A job of the type 'Sweep'"),
        # It expects any error, and gets one for another reason than Azure's.
        ("passed", "", _MESSAGE % "The operation GET a/b", NOT_SERVED, "GET a/b"),
        (
            "failed",
            "E   Error",
            _MESSAGE % "The operation PUT /name.blob.core.windows.net/container/folder/file",
            NOT_SERVED,
            "PUT of a blob of storage",
        ),
        (
            "failed",
            "E   FileNotFoundError: No such file or directory: './tests/test_configs/schedule/cron.yml'",
            "",
            NEEDS_FILE,
            "test_configs/schedule/cron.yml",
        ),
        (
            "failed",
            "def test_it():\nE   AssertionError: assert 1 == 2\nE   more",
            "",
            FAILED,
            "AssertionError: assert 1 == 2",
        ),
    ],
)
def test_the_outcome_of_a_test_has_its_reason(outcome: str, text: str, not_served: str, kind: str, detail: str) -> None:
    report = {
        "test": "tests/compute/e2etests/test_compute.py::TestCompute::test_it",
        "outcome": outcome,
        "text": text,
        "not_served": not_served,
    }

    assert outcome_of(report) == Outcome("compute", "test_it", kind, detail)


def test_a_test_that_the_sdk_always_skips_is_known_as_one() -> None:
    report = {"test": "tests/a/e2etests/test_a.py::test_it", "outcome": "passed", "text": "", "not_served": ""}

    assert outcome_of({**report, "skipped": "too slow"}) == Outcome("a", "test_it", PASSED, is_extra=True)
    assert outcome_of({**report, "skipped": None}) == Outcome("a", "test_it", PASSED)


def test_skipped_tests_do_not_count() -> None:
    found = counts([Outcome("a", "one", PASSED), Outcome("a", "two", FAILED), Outcome("a", "three", SKIPPED)])

    assert (found[PASSED], found["of"]) == (1, 2)


def test_the_page_has_numbers_and_a_list() -> None:
    made = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]

    assert "| compute | 3 of 3 |" in made
    assert "| `test_compute_instance_stop_start_restart` | passed |" in made
