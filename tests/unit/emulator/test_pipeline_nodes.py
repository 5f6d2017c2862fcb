"""The job of a pipeline's node."""

from __future__ import annotations

from typing import Any

import pytest

from zenml_azureml.emulator.jobs.pipelines.nodes import node_id, node_job

PIPELINE: dict[str, Any] = {
    "settings": None,
    "computeId": None,
    "identity": None,
    "properties": {},
    "experimentName": "e",
    "inputs": {},
    "outputs": {},
}


def job(node: dict[str, Any], spec: dict[str, Any], **pipeline: Any) -> dict[str, Any]:
    return node_job(
        node,
        spec,
        node_name="train",
        job_name="child",
        pipeline={**PIPELINE, **pipeline},
        pipeline_name="parent",
        datastore="workspaceblobstore",
        output_of=lambda _node, _output: None,
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("azureml:/subscriptions/s/codes/c/versions/1", "/subscriptions/s/codes/c/versions/1"),
        (
            "azureml://registries/azureml/environments/e/versions/1",
            "azureml://registries/azureml/environments/e/versions/1",
        ),
        ("azureml:name:1", "azureml:name:1"),
        (None, None),
    ],
)
def test_ids_have_the_form_of_resource_manager(sent: str | None, expected: str | None) -> None:
    made = job({}, {"code": sent, "environment": sent})

    assert (made["codeId"], made["environmentId"]) == (expected, expected)


def test_the_compute_is_the_nodes_then_the_default_then_the_pipelines() -> None:
    assert job({"computeId": "own"}, {}, settings={"default_compute": "default"}, computeId="all")["computeId"] == "own"
    assert job({}, {}, settings={"default_compute": "default"}, computeId="all")["computeId"] == "default"
    assert job({}, {}, computeId="all")["computeId"] == "all"


def test_settings_of_a_node_are_those_of_the_pipelines_inputs_that_they_are_bound_to() -> None:
    inputs = {name: {"jobInputType": "literal", "value": value} for name, value in (("where", "cpu"), ("long", "60"))}
    sent = {
        "computeId": "${{parent.inputs.where}}",
        "limits": {"timeout": "${{parent.inputs.long}}"},
        "environment_variables": {"A": "at ${{parent.inputs.where}}"},
    }

    made = job(sent, {}, inputs=inputs)

    assert (made["computeId"], made["limits"]["timeout"]) == ("cpu", "PT60S")
    assert made["environmentVariables"] == {"A": "at cpu"}


@pytest.mark.parametrize(("kind", "end"), [("uri_file", "model"), ("uri_folder", "model/"), ("mlflow_model", "model/")])
def test_outputs_have_a_path_of_their_own(kind: str, end: str) -> None:
    (output,) = job({}, {"outputs": {"model": {"type": kind}}})["outputs"].values()

    assert output["uri"] == f"azureml://datastores/workspaceblobstore/paths/azureml/child/{end}"


def test_an_output_of_the_pipeline_says_where_it_is_and_what_it_becomes() -> None:
    node = {"outputs": {"model": {"type": "literal", "value": "${{parent.outputs.best}}"}}}
    best = {"uri": "azureml://datastores/d/paths/p", "mode": "Upload", "assetName": "best", "assetVersion": "3"}

    (output,) = job(node, {"outputs": {"model": {"type": "uri_folder"}}}, outputs={"best": best})["outputs"].values()

    assert output == {"jobOutputType": "uri_folder", **best}


@pytest.mark.parametrize(
    ("limits", "timeout"), [({"timeout": "300"}, "PT300S"), ({"timeout": 60}, "PT60S"), ({"timeout": "PT1H"}, "PT1H")]
)
def test_a_time_limit_is_a_duration(limits: dict[str, Any], timeout: str) -> None:
    assert job({"limits": limits}, {})["limits"]["timeout"] == timeout


def test_resources_of_the_node_come_before_those_of_the_component() -> None:
    spec = {"resources": {"instance_count": "2", "shm_size": "4g"}, "distribution": {"type": "mpi"}}

    made = job({"resources": {"instance_count": 3}}, spec)

    assert made["resources"] == {"instanceCount": 3, "shmSize": "4g"}
    assert made["distribution"] == {"distributionType": "Mpi"}


def test_the_id_of_a_node_is_made_from_its_name() -> None:
    assert node_id("train") == node_id("train") != node_id("other")
    assert len(node_id("x")) == 8
