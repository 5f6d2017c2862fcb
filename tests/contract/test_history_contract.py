"""Discovery and run history, against recordings and as the SDK uses them."""

from __future__ import annotations

from typing import Any

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import AmlCompute, Environment
from azure.ai.ml.exceptions import JobException

from tests.contract.arm import Arm, recorded
from tests.contract.recorded_answers import comparable
from tests.contract.waiting import eventually

FAILURE = {"SIMULATE_EXIT_CODE": "3"}


def submit(ml_client: MLClient, **variables: str) -> str:
    job = ml_client.jobs.create_or_update(
        command(
            name="train",
            command="python train.py",
            environment=Environment(image="ubuntu"),
            environment_variables=variables,
            experiment_name="demand",
        )
    )
    return str(job.name)


def ended(ml_client: MLClient, name: str) -> str:
    """The job's state once it is over."""
    over = {"Completed", "Failed", "Canceled"}
    return eventually(lambda: next(iter({ml_client.jobs.get(name).status.value} & over), ""))


def history(arm: Arm, path: str) -> str:
    return f"/history/v1.0{arm.workspace}/{path}"


def rundata(arm: Arm, name: str) -> dict[str, Any]:
    wanted = recorded("history_rundata_failed_command")["request_body"]
    answer = arm.call("POST", history(arm, "rundata"), {**wanted, "runId": name}, api_version=None)
    assert answer.status == 200
    body: dict[str, Any] = answer.body
    return body


def test_discovery_tells_the_recorded_services_to_anybody(arm: Arm) -> None:
    expected = recorded("discovery_get")

    answer = arm.call("GET", "/discovery", api_version=None, headers={"Authorization": ""})

    assert answer.status == 200
    assert list(answer.body) == list(expected["response_body"])
    assert answer.headers["x-ms-response-type"] == "standard"
    hosts = {url for name, url in answer.body.items() if name != "studio"}
    assert hosts == {arm.emulator.base_url}, "a token must not be sent anywhere else"


def test_a_failed_run_is_told_as_recorded(ml_client: MLClient, arm: Arm) -> None:
    name = submit(ml_client, **FAILURE)
    assert ended(ml_client, name) == "Failed"
    expected = recorded("history_rundata_failed_command")["response_body"]["runMetadata"]

    run = rundata(arm, name)["runMetadata"]

    assert list(run) == list(expected)
    for key in ("createdBy", "error", "runTypeV2", "actionUris", "computeRequest", "compute", "outputs"):
        assert list(run[key]) == list(expected[key]), key
    assert list(run["error"]["error"]) == list(expected["error"]["error"])
    assert comparable(run["outputs"]["default"]).replace(name, "N") == comparable(
        expected["outputs"]["default"]
    ).replace("test_495987493621", "N").replace("centraluseuap", "westeurope")
    nothing = {key for key, value in expected.items() if value is None} - {"description"}
    assert {key for key in nothing if run[key] is not None} == set()


def test_a_failed_runs_error_is_in_history_alone(ml_client: MLClient, arm: Arm) -> None:
    name = submit(ml_client, **FAILURE)
    ended(ml_client, name)

    error = rundata(arm, name)["runMetadata"]["error"]

    assert error["error"]["code"] == "UserError"
    assert "3" in error["error"]["message"]
    assert "error" not in arm.call("GET", f"jobs/{name}").body["properties"]


def test_what_is_not_selected_is_left_out(ml_client: MLClient, arm: Arm) -> None:
    name = submit(ml_client)

    body = arm.call("POST", history(arm, "rundata"), {"runId": name, "selectRunMetadata": True}, api_version=None).body

    assert body["runMetadata"]["runId"] == name
    assert body["runDefinition"] is None
    assert rundata(arm, name)["runDefinition"]["command"] == "python train.py"
    assert rundata(arm, name)["jobSpecification"]["jobType"] == "Command"


def test_details_are_found_by_run_and_by_experiment(ml_client: MLClient, arm: Arm) -> None:
    name = submit(ml_client)
    ended(ml_client, name)
    experiment = rundata(arm, name)["runMetadata"]["experimentId"]

    answers = [
        arm.call("GET", history(arm, f"{owner}runs/{name}/details"), api_version=None)
        for owner in ("", "experiments/demand/", f"experimentids/{experiment}/")
    ]

    assert [answer.status for answer in answers] == [200] * 3
    assert [answer.body["status"] for answer in answers] == ["Completed"] * 3
    assert arm.call("GET", history(arm, f"runs/{name}"), api_version=None).body["runId"] == name


@pytest.mark.parametrize("path", ["runs/none/details", "runs/none", "experiments/other/runs/train/details"])
def test_a_run_that_is_not_there_is_not_found(ml_client: MLClient, arm: Arm, path: str) -> None:
    submit(ml_client)

    answer = arm.call("GET", history(arm, path), api_version=None)

    assert answer.status == 404
    assert answer.body["error"]["code"] == "UserError"
    assert answer.headers["x-ms-response-type"] == "error"


def test_history_wants_a_token(arm: Arm) -> None:
    answer = arm.call("GET", history(arm, "runs/any/details"), api_version=None, headers={"Authorization": ""})

    assert answer.status == 401


def test_details_have_the_keys_and_times_that_users_quote(ml_client: MLClient, arm: Arm) -> None:
    ml_client.compute.begin_create_or_update(AmlCompute(name="cpu", size="Standard_DS2_v2", max_instances=1)).result()
    job = command(command="x", environment=Environment(image="ubuntu"), compute="cpu", name="train")
    name = str(ml_client.jobs.create_or_update(job).name)
    ended(ml_client, name)
    quoted = recorded("quoted_rundetails_v1_logfiles")["response_body"]

    details = arm.call("GET", history(arm, f"runs/{name}/details"), api_version=None).body

    assert [key for key in details if key in quoted] == list(quoted)
    assert details["target"] == "cpu"
    for key in ("startTimeUtc", "endTimeUtc"):
        assert comparable(details[key]) == comparable(quoted[key])
        assert details[key].endswith("Z")
    (url,) = details["logFiles"].values()
    assert list(details["logFiles"]) == ["user_logs/std_log.txt"]
    assert "/azureml/ExperimentRun/dcid.train/user_logs/std_log.txt?sv=" in url


def test_the_sdk_streams_a_jobs_log_to_its_end(streaming: MLClient, capsys: pytest.CaptureFixture[str]) -> None:
    name = submit(streaming, SIMULATE_SECONDS="1", SIMULATE_LINES="5")

    streaming.jobs.stream(name)

    printed = capsys.readouterr().out
    assert "Streaming user_logs/std_log.txt" in printed
    assert [f"simulated line {number} of 5" in printed for number in range(1, 6)] == [True] * 5
    assert "Execution Summary" in printed


def test_the_sdk_streams_a_failed_job_to_its_error(ml_client: MLClient) -> None:
    name = submit(ml_client, **FAILURE)

    with pytest.raises(JobException, match="UserError"):
        ml_client.jobs.stream(name)
