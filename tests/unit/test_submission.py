"""What is sent of a step run beside what the step asks for."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zenml.config import DockerSettings

from zenml_azureml.azure.jobs.submitter import build_command_job
from zenml_azureml.specs.job import JobOptions
from zenml_azureml.submission.job_builder import (
    StepFacts,
    checkpoint_folder,
    checkpoints_uri,
    default_variables,
    request_for,
)

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


DOCKER = {"MLFLOW_TRACKING_URI": "https://of-the-image", "MLFLOW_TRACKING_TOKEN": "of-the-image", "OTHER": "1"}


@pytest.mark.parametrize("setting", ["environment", "runtime_environment"])
def test_a_job_gets_what_its_user_has_set_for_mlflow_wherever_that_is_set(setting: str) -> None:
    facts = StepFacts(
        **dict.fromkeys(("pipeline", "run", "run_id", "run_tag", "run_url", "step", "step_run_id", "job_name"), "x"),
        server_id="x",
        image="x",
        docker_settings=DockerSettings(**{setting: DOCKER}),
    )
    options = JobOptions(
        docker_variables={"MLFLOW_EXPERIMENT_ID": "7"}, environment_variables={"MLFLOW_TRACKING_TOKEN": "of-the-step"}
    )

    request = request_for(facts, ["python"], {"MLFLOW_EXPERIMENT_NAME": "of ZenML"}, options)
    job = build_command_job(request, None)

    assert job.environment_variables["ZENML_AZUREML_MLFLOW"] == (
        "MLFLOW_TRACKING_URI,MLFLOW_EXPERIMENT_ID,MLFLOW_EXPERIMENT_NAME,MLFLOW_TRACKING_TOKEN"
    )
    # Azure ML overwrites the names of MLflow (Azure/azure-sdk-for-python#38813).
    own = {key: value for key, value in job.environment_variables.items() if key.startswith("ZENML_AZUREML_MLFLOW_")}
    assert own == {
        "ZENML_AZUREML_MLFLOW_TRACKING_URI": "https://of-the-image",
        "ZENML_AZUREML_MLFLOW_EXPERIMENT_ID": "7",
        "ZENML_AZUREML_MLFLOW_EXPERIMENT_NAME": "of ZenML",
        "ZENML_AZUREML_MLFLOW_TRACKING_TOKEN": "of-the-step",
    }
    assert "MLFLOW_TRACKING_TOKEN" in request.secret_names
    assert "OTHER" not in job.environment_variables
