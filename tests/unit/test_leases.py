"""Which compute is deleted when, where steps have asked for that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.usage import ComputeUsage

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


def test_the_compute_of_a_held_job_stays() -> None:
    leases = ComputeUsage()
    leases.take(CREATED, "held", delete_after=True)
    leases.take(FOUND, "other", delete_after=False)

    assert leases.release("other") is None, "the held job still runs on it"
