"""References to outputs of jobs: every form that scripts write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.emulator.services.aml.output_references import OutputReference, output_reference

NAMES = st.text("abcxyzABC019_-", min_size=1, max_size=20)
PATHS = st.lists(st.text("abc 01._-é", min_size=1, max_size=8).filter(lambda part: part != "paths"), max_size=4)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("azureml://jobs/train/outputs/model", OutputReference("train", "model", "")),
        ("azureml://jobs/train/outputs/model/", OutputReference("train", "model", "")),
        ("azureml://jobs/train/outputs/model/paths/a/b.txt", OutputReference("train", "model", "a/b.txt")),
        ("azureml://jobs/train/outputs/artifacts/paths/model/", OutputReference("train", "artifacts", "model")),
        (
            "azureml://jobs/train/outputs/artifacts/outputs/m.pkl",
            OutputReference("train", "artifacts", "outputs/m.pkl"),
        ),
        ("runs:/train/model", OutputReference("train", "artifacts", "model")),
        ("azureml://datastores/workspaceblobstore/paths/jobs/train/outputs/model", None),
        ("azureml:train:1", None),
        ("https://example.com/jobs/train/outputs/model", None),
    ],
)
def test_the_forms_of_a_reference(uri: str, expected: OutputReference | None) -> None:
    assert output_reference(uri) == expected


@given(job=NAMES, output=NAMES, parts=PATHS)
def test_what_is_written_is_what_is_read(job: str, output: str, parts: list[str]) -> None:
    path = "/".join(parts)
    uri = f"azureml://jobs/{job}/outputs/{output}/paths/{path}"

    assert output_reference(uri) == OutputReference(job, output, path.strip("/"))
