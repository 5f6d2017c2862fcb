"""What is sent of a step run beside what the step asks for."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zenml.config import DockerSettings

from zenml_azureml.submission.job_builder import checkpoint_folder, checkpoints_uri, default_variables

NAMES = st.text(min_size=1, max_size=300)

#: Characters that names which differ may have in their differing places.
CONFUSABLE = st.text(alphabet="aA1-_. /\\äéø训评\u0301\u200b\n\0", min_size=1, max_size=8)


def test_tracebacks_are_plain_unless_the_image_says_otherwise() -> None:
    framed = DockerSettings(environment={"ZENML_ENABLE_RICH_TRACEBACK": "true"})

    assert default_variables(DockerSettings()) == {"ZENML_ENABLE_RICH_TRACEBACK": "false"}
    assert default_variables(framed) == {}


@pytest.mark.parametrize("name", ["train", "train_2", "evaluate-it", "v1.2", "Train"])
def test_a_plain_step_name_is_its_checkpoint_folder_as_in_earlier_versions(name: str) -> None:
    assert checkpoint_folder(name) == name
    assert checkpoints_uri("run", name).endswith(f"/zenml/run/{name}/checkpoints")


@pytest.mark.parametrize(
    "names",
    [
        ("训练", "评估"),
        ("fold 1", "fold-1", "fold/1", "fold--1", "fold_1", " fold 1", "fold 1 "),
        ("größe", "grüße", "gr-e"),
        ("é", "e\u0301"),
        (".", "..", "-", "step"),
        ("a" * 300, "a" * 301, "a" * 128),
    ],
)
def test_steps_of_one_run_never_share_a_checkpoint_folder(names: tuple[str, ...]) -> None:
    assert len({checkpoint_folder(name) for name in names}) == len(names)


def test_a_step_named_like_another_ones_folder_has_a_folder_of_its_own() -> None:
    borrowed = checkpoint_folder("fold 1")

    assert checkpoint_folder(borrowed) != borrowed


@given(st.lists(NAMES | CONFUSABLE, min_size=2, max_size=6, unique=True))
def test_different_names_have_different_checkpoint_folders(names: list[str]) -> None:
    for one, other in combinations(names, 2):
        assert checkpoint_folder(one) != checkpoint_folder(other)


@given(NAMES | CONFUSABLE)
@example("..")
@example("a\n")
def test_a_checkpoint_folder_is_a_single_short_path_segment_of_plain_characters(name: str) -> None:
    folder = checkpoint_folder(name)

    assert re.fullmatch(r"[a-zA-Z0-9._-]{1,128}", folder)
    assert not folder.startswith(".")
    assert not folder.endswith(".")
    assert checkpoint_folder(name) == folder
