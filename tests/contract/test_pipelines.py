"""Pipelines of commands: their nodes are jobs, in their order, with what they are bound to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion, Job
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

ENDS = ("Completed", "Failed", "Canceled")
FOLDER = {"type": "uri_folder"}
#: What the default command of `component` does.
FOREVER = {"LASTS": "3600"}
FAILS = {"ENDS_WITH": "1"}


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    """An emulator whose nodes are processes: one that reads what another has not written would fail."""
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "emulator", runtime=ProcessRuntime(grace=0.1), settings=settings) as emulator:
        yield Arm(emulator)


def component(arm: Arm, name: str = "step", **spec: Any) -> str:
    """The id of a component that the workspace has."""
    context = arm.emulator.context
    workspace, now = context.store.workspaces[0], context.clock.now()
    command = "sleep ${LASTS:-0}; exit ${ENDS_WITH:-0}"
    if "outputs" in spec:
        command = f"echo 1 > ${{{{outputs.out}}}}/data; {command}"
    whole = {"type": "command", "command": command, "environment": "azureml:image:1", **spec}
    version = AssetVersion(name, "1", {"componentSpec": whole}, now, now)
    workspace.assets_of("components")[name] = AssetContainer(name, now, {"1": version})
    return f"{workspace.path}/components/{name}/versions/1"


def node(component_id: str, *needs: str, **more: Any) -> dict[str, Any]:
    bound = {
        f"in_{name}": {"job_input_type": "literal", "value": f"${{{{parent.jobs.{name}.outputs.out}}}}"}
        for name in needs
    }
    return {"type": "command", "componentId": component_id, "inputs": bound, **more}


def submit(arm: Arm, nodes: dict[str, Any], name: str = "pipeline", **more: Any) -> dict[str, Any]:
    sent = {"jobType": "Pipeline", "experimentName": "trial", "jobs": nodes, **more}
    answer = arm.call("PUT", f"jobs/{name}", {"properties": sent})
    assert answer.status == 201, answer.text
    body: dict[str, Any] = answer.body["properties"]
    return body


def status(arm: Arm, name: str = "pipeline") -> str:
    return str(arm.call("GET", f"jobs/{name}").body["properties"]["status"])


def end_of(arm: Arm, name: str = "pipeline") -> str:
    eventually(lambda: status(arm, name) in ENDS)
    return status(arm, name)


def children(arm: Arm, name: str = "pipeline") -> dict[str, Job]:
    jobs = arm.emulator.context.store.workspaces[0].jobs.values()
    return {job.properties["displayName"]: job for job in jobs if job.properties["parentJobName"] == name}


def test_nodes_run_after_those_that_they_need(arm: Arm) -> None:
    step = component(arm, outputs={"out": FOLDER})
    submit(arm, {"last": node(step, "middle"), "first": node(step), "middle": node(step, "first")})

    assert end_of(arm) == "Completed"

    jobs = children(arm)
    assert {name: job.status for name, job in jobs.items()} == dict.fromkeys(("first", "middle", "last"), "Completed")
    for before, after in (("first", "middle"), ("middle", "last")):
        ended, began = jobs[before].ended_at, jobs[after].started_at
        assert ended is not None
        assert began is not None
        assert ended <= began
        (source,) = [value["uri"] for value in jobs[after].properties["inputs"].values()]
        assert source == jobs[before].properties["outputs"]["out"]["uri"]
        assert source == f"azureml://datastores/workspaceblobstore/paths/azureml/{jobs[before].name}/out/"


def test_nodes_find_their_pipeline_and_their_data_by_variables(arm: Arm) -> None:
    writes = 'echo 1 > "$AZURE_ML_OUTPUT_OUT/data"; test "$AZURE_ML_OUTPUT_OUT" = "$AZURE_ML_OUTPUT_out"'
    reads = 'test "$AZUREML_ROOT_RUN_ID" = pipeline && test "$(cat "$AZURE_ML_INPUT_IN_FIRST/data")" = 1'
    first = component(arm, "first", command=writes, outputs={"out": FOLDER})
    submit(arm, {"first": node(first), "second": node(component(arm, "second", command=reads), "first")})

    assert end_of(arm) == "Completed"


def test_branches_run_at_the_same_time_and_are_cancelled_with_the_pipeline(arm: Arm) -> None:
    step = component(arm, outputs={"out": FOLDER})
    long = {"environment_variables": FOREVER}
    submit(arm, {"left": node(step, **long), "right": node(step, **long), "join": node(step, "left", "right")})
    eventually(lambda: {job.status for job in children(arm).values()} == {"Running"} and len(children(arm)) == 2)
    assert status(arm) == "Running"

    assert arm.call("POST", "jobs/pipeline/cancel").status == 202

    assert end_of(arm) == "Canceled"
    assert {name: job.status for name, job in children(arm).items()} == {"left": "Canceled", "right": "Canceled"}


def failing(arm: Arm, **more: Any) -> None:
    step = component(arm, outputs={"out": FOLDER})
    nodes = {
        "bad": node(step, environment_variables=FAILS),
        "after_bad": node(step, "bad"),
        "good": node(step, environment_variables=more.pop("good", {})),
        "after_good": node(step, "good"),
    }
    submit(arm, nodes, **more)


@pytest.mark.parametrize("settings", [None, {"continue_on_step_failure": True}])
def test_a_failed_node_stops_only_those_that_need_it(arm: Arm, settings: Any) -> None:
    failing(arm, settings=settings)

    assert end_of(arm) == "Failed"

    found = {name: job.status for name, job in children(arm).items()}
    assert found == {"bad": "Failed", "good": "Completed", "after_good": "Completed"}
    run = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/pipeline").body
    assert f"Failed nodes: bad ({children(arm)['bad'].name})" in run["error"]["error"]["message"]
    shown = arm.call("GET", "jobs/pipeline").body["properties"]["properties"]
    assert shown["azureml.continue_on_step_failure"] == "True"


def test_without_continue_on_step_failure_what_runs_is_cancelled(arm: Arm) -> None:
    failing(arm, settings={"continue_on_step_failure": False}, good=FOREVER)

    assert end_of(arm) == "Failed"

    found = {name: job.status for name, job in children(arm).items()}
    assert found == {"bad": "Failed", "good": "Canceled"}


def test_a_node_is_put_together_from_its_component_the_pipeline_and_itself(arm: Arm) -> None:
    cluster = {"vmSize": "STANDARD_DS2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}
    sent = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": cluster}}
    assert arm.call("PUT", "computes/cpu", sent, api_version="2024-04-01").status == 201
    compute = f"{arm.workspace}/computes/cpu"
    step = component(
        arm,
        command="train ${{inputs.rate}} $[[--seed ${{inputs.seed}}]] $[[--note ${{inputs.note}}]] ${{outputs.model}}",
        code="azureml:/subscriptions/s/codes/c/versions/1",
        inputs={"rate": {"type": "number", "default": "0.5"}, "seed": {"type": "integer"}, "note": {"type": "string"}},
        outputs={"model": FOLDER},
        resources={"instance_count": "2", "shm_size": "4g"},
        distribution={"type": "pytorch", "process_count_per_instance": "1"},
        environment_variables={"A": "component", "B": "component"},
    )
    seed = {"job_input_type": "literal", "value": "${{parent.inputs.seed}}"}
    model = {"value": "${{parent.outputs.model}}", "type": "literal"}
    submit(
        arm,
        {
            "train": node(step)
            | {
                "inputs": {"seed": seed},
                "outputs": {"model": model},
                "environment_variables": {"B": "node"},
                "limits": {"timeout": "PT1H"},
                "display_name": "Training",
            }
        },
        computeId=compute,
        inputs={"seed": {"jobInputType": "literal", "value": "7"}},
        outputs={"model": {"jobOutputType": "uri_folder", "mode": "Upload", "assetName": "best"}},
    )

    job = eventually(lambda: children(arm))["Training"].properties

    assert job["command"] == "train ${{inputs.rate}} --seed ${{inputs.seed}}  ${{outputs.model}}"
    assert {name: value["value"] for name, value in job["inputs"].items()} == {"rate": "0.5", "seed": "7"}
    assert (job["outputs"]["model"]["mode"], job["outputs"]["model"]["assetName"]) == ("Upload", "best")
    assert job["environmentVariables"] == {"A": "component", "B": "node"}
    assert (job["resources"]["instanceCount"], job["resources"]["shmSize"]) == (2, "4g")
    assert job["distribution"] == {"distributionType": "PyTorch", "processCountPerInstance": 1}
    assert (job["computeId"], job["componentId"], job["codeId"]) == (
        compute,
        step,
        "/subscriptions/s/codes/c/versions/1",
    )
    assert (job["experimentName"], job["parentJobName"]) == ("trial", "pipeline")
    assert job["tags"]["azureml.pipeline"] == "pipeline"
    assert job["limits"]["timeout"] == "PT1H"


def test_the_answer_has_what_was_recorded(arm: Arm) -> None:
    body = submit(arm, {"only": node(component(arm))}, settings={"_source": "YAML.JOB"})

    assert body["status"] == "NotStarted"
    assert list(body) == [
        *("description", "tags", "properties", "displayName", "status", "experimentName", "services", "computeId"),
        *("isArchived", "identity", "componentId", "notificationSetting", "secretsConfiguration", "jobType"),
        *("settings", "jobs", "inputs", "outputs", "sourceJobId"),
    ]
    assert (body["inputs"], body["outputs"], body["settings"]) == (None, {}, {"_source": "YAML.JOB"})


def test_a_pipeline_lists_its_literal_inputs_in_a_property(arm: Arm) -> None:
    inputs = {
        "number": {"jobInputType": "literal", "value": "1"},
        "folder": {"jobInputType": "uri_folder", "uri": "azureml://datastores/workspaceblobstore/paths/data/"},
        "text": {"jobInputType": "literal", "value": "héllo"},
    }

    body = submit(arm, {"only": node(component(arm))}, inputs=inputs)

    assert body["properties"]["azureml.parameters"] == '{"number":"1","text":"héllo"}'


def test_lists_have_pipelines_and_not_their_nodes(arm: Arm) -> None:
    submit(arm, {"only": node(component(arm))})
    end_of(arm)

    assert [job["name"] for job in arm.call("GET", "jobs").body["value"]] == ["pipeline"]
    assert arm.call("GET", "jobs?jobType=Command").body["value"] == []
    child = children(arm)["only"]
    assert arm.call("GET", f"jobs/{child.name}").body["properties"]["displayName"] == "only"
    run = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/{child.name}").body
    assert (run["parentRunId"], run["rootRunId"], run["runType"]) == ("pipeline", "pipeline", "azureml.StepRun")
    assert arm.call("GET", f"/history/v1.0{arm.workspace}/runs/pipeline").body["runType"] == "azureml.PipelineRun"


def test_the_nodes_of_a_pipeline_in_a_pipeline_are_cancelled_with_it(arm: Arm) -> None:
    inner = {"a": node(component(arm), environment_variables=FOREVER)}
    submit(arm, {"nested": node(component(arm, "inner", type="pipeline", jobs=inner), type="pipeline")})
    eventually(lambda: "nested" in children(arm) and bool(children(arm, children(arm)["nested"].name)))
    nested = children(arm)["nested"]
    leaf = children(arm, nested.name)["a"]
    eventually(lambda: leaf.status == "Running")

    arm.call("POST", "jobs/pipeline/cancel")

    assert end_of(arm) == "Canceled"
    assert (nested.status, leaf.status) == ("Canceled", "Canceled")
    assert leaf.properties["properties"]["azureml.rootpipelinerunid"] == "pipeline"


@pytest.mark.parametrize("label", ["/labels/default", "/labels/latest", "/versions/1"])
def test_a_component_is_named_by_a_label_or_a_version(arm: Arm, label: str) -> None:
    step = component(arm).removesuffix("/versions/1")

    submit(arm, {"a": node(f"{step}{label}"), "b": node("azureml:step@latest"), "c": node("azureml:step:1")})

    assert end_of(arm) == "Completed"


def test_what_cannot_be_a_pipeline_is_refused(arm: Arm) -> None:
    step = component(arm, outputs={"out": FOLDER})
    own = f"{arm.workspace}/components/own/versions/1"
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({}, 400, "at least one job"),
        ({"a": node(f"{arm.workspace}/components/none/versions/1")}, 404, "Not found component none (version: "),
        ({"a": node(step, "b")}, 400, "which does not exist"),
        ({"a": node(step, "b"), "b": node(step, "a")}, 400, "need each other"),
        ({"a": node(step, computeId=f"{arm.workspace}/computes/none")}, 400, "Unknown compute target 'none'"),
        ({"a": node(step, type="sweep")}, 501, "sweep"),
        ({"a": node(component(arm, "inner", type="spark"))}, 501, "spark"),
        ({"a": node(component(arm, "empty", type="pipeline"))}, 400, "at least one job"),
        ({"a": node(component(arm, "own", type="pipeline", jobs={"b": node(own)}))}, 400, "contains itself"),
    ]
    for nodes, code, words in cases:
        sent = {"jobType": "Pipeline", "jobs": nodes}
        answer = arm.call("PUT", "jobs/refused", {"properties": sent})
        assert answer.status == code, answer.text
        assert words in answer.text
    assert arm.call("GET", "jobs/refused").status == 404


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ("3", ""),
        ("4", "The value 4 of the input 'times' is larger than its maximum 3."),
        ("0.5", "The value 0.5 of the input 'times' is smaller than its minimum 1."),
    ],
)
def test_a_value_out_of_the_range_of_an_input_fails_the_pipeline(arm: Arm, times: str, words: str) -> None:
    step = component(arm, inputs={"times": {"type": "number", "min": "1", "max": "3"}})
    sent = {"times": {"job_input_type": "literal", "value": "${{parent.inputs.times}}"}}
    given = {"times": {"jobInputType": "literal", "value": times}}
    submit(arm, {"a": {**node(step), "inputs": sent}}, inputs=given)

    assert end_of(arm) == ("Failed" if words else "Completed")
    error = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/pipeline").body["error"]
    assert (error["error"]["message"] if error else "") == words


def test_a_binding_to_an_output_that_is_not_there_fails_the_pipeline(arm: Arm) -> None:
    step = component(arm)
    submit(arm, {"a": node(step), "b": node(step, "a")})

    assert end_of(arm) == "Failed"
    run = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/pipeline").body
    assert run["error"]["error"]["message"] == "The node 'a' has no output 'out'."
