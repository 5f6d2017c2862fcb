"""Which compute is deleted when, where steps have asked for that."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.usage import ComputeUsage
from zenml_azureml.lifecycle.attempts import COMPUTE_LEFT_KEY, compute_left, left_compute_as_metadata

CREATED = ComputeTarget(name="cpu", kind="compute-cluster", created=True)
FOUND = ComputeTarget(name="cpu", kind="compute-cluster", created=False)


def test_a_compute_is_deleted_after_the_last_of_its_jobs() -> None:
    leases = ComputeUsage()
    leases.take(CREATED, "first", delete_after=True)
    leases.take(FOUND, "second", delete_after=False)

    assert leases.release("first") is None
    assert leases.release("second") == CREATED


def test_a_job_is_released_once() -> None:
    leases = ComputeUsage()
    leases.take(CREATED, "job", delete_after=True)

    assert leases.release("job") == CREATED
    assert leases.release("job") is None


def test_serverless_compute_needs_no_lease() -> None:
    leases = ComputeUsage()
    leases.take(ComputeTarget(name=None, kind="serverless", created=True), "job", delete_after=True)

    assert leases.release("job") is None


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.booleans())
def test_what_existed_before_or_is_not_to_be_deleted_stays(wishes: list[bool], created: bool) -> None:
    leases = ComputeUsage()
    target = CREATED if created else FOUND
    for number, wish in enumerate(wishes):
        leases.take(target, f"job-{number}", delete_after=wish)

    released = [leases.release(f"job-{number}") for number in range(len(wishes))]

    assert released[:-1] == [None] * (len(wishes) - 1)
    assert (released[-1] is not None) == (created and any(wishes))


def test_the_compute_of_a_held_job_is_known_and_found_again_in_the_metadata() -> None:
    leases = ComputeUsage()
    target = replace(CREATED, created_on="2026-01-01T00:00:00Z")
    leases.take(target, "held", delete_after=True)
    leases.take(FOUND, "other", delete_after=False)

    assert leases.to_delete("held") == target
    assert leases.to_delete("unknown") is None
    assert compute_left({COMPUTE_LEFT_KEY: left_compute_as_metadata(target)}) == target
    assert compute_left({}) is None
    assert leases.release("other") is None, "the held job still runs on it"
