"""The emulator's jobs against recorded answers of the real service."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.contract.arm import Arm, recorded
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock

JOB: dict[str, Any] = {"jobType": "Command", "command": "echo hello", "environmentId": "azureml:some:1"}


def put_job(arm: Arm, name: str, **properties: Any) -> Any:
    answer = arm.call("PUT", f"jobs/{name}", {"properties": {**JOB, **properties}})
    assert answer.status == 201, answer.text
    return answer.body


def put_cluster(arm: Arm, name: str, *, nodes: int) -> str:
    inner = {"vmSize": "STANDARD_DS2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": nodes}}
    body = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": inner}}
    assert arm.call("PUT", f"computes/{name}", body, api_version="2023-04-01").status == 201
    return f"{arm.workspace}/computes/{name}"


def status_of(arm: Arm, name: str) -> str:
    return str(arm.call("GET", f"jobs/{name}").body["properties"]["status"])


# What the service fills in


@pytest.mark.parametrize(
    "name",
    [
        "job_put_cluster_mpi",
        "job_put_services_resources",
        "job_put_minimal_fields",
        "job_put_serverless",
        "job_put_cluster_identity_input",
        "job_put_invalid_input_uri_201",
    ],
)
def test_an_accepted_job_is_answered_as_recorded(masked: Arm, name: str) -> None:
    exchange = recorded(name)

    answer = masked.call("PUT", exchange["path"], exchange["request_body"])

    assert answer.status == exchange["status"]
    assert answer.headers["Location"] == masked.emulator.base_url + exchange["path"]
    assert "Azure-AsyncOperation" not in answer.headers
    assert _without_accidents(answer.body) == _without_accidents(exchange["response_body"])
    assert set(answer.body["systemData"]) == {"createdAt", "createdBy", "createdByType"}
    assert answer.text.startswith('{\n  "id": ')


def _without_accidents(body: dict[str, Any]) -> dict[str, Any]:
    """Without who, when and in which region; without ids that the service draws by lot."""
    properties = dict(body["properties"])
    properties["services"] = {
        key: {**service, "endpoint": re.sub(r"//[\w.:-]+", "//HOST", service["endpoint"])}
        for key, service in properties["services"].items()
    }
    own = {key: value for key, value in properties["properties"].items() if key != "ContentSnapshotId"}
    # A kind of compute that is no more (a data factory).
    own["_azureml.ComputeTargetType"] = "amlctrain"
    properties["properties"] = own
    return {**body, "properties": properties, "systemData": None}


def wait_for(arm: Arm, name: str, status: str) -> None:
    while status_of(arm, name) != status:
        assert status_of(arm, name) not in {"Completed", "Failed", "Canceled"} - {status}


# A name that is taken


def test_the_same_content_again_is_an_update_without_location(arm: Arm) -> None:
    put_job(arm, "twice", tags={"a": "1"})

    again = arm.call("PUT", "jobs/twice", {"properties": {**JOB, "tags": {"b": "2"}, "displayName": "Second"}})

    assert again.status == 200
    assert "Location" not in again.headers
    assert again.body["properties"]["tags"] == {"a": "1", "b": "2"}
    assert again.body["properties"]["displayName"] == "Second"


def test_what_the_service_answered_can_be_sent_back(arm: Arm) -> None:
    job = put_job(arm, "round", environmentVariables={"A": "1"})

    assert arm.call("PUT", "jobs/round", {"properties": job["properties"]}).status == 200


def test_other_content_is_refused_in_the_recorded_words(arm: Arm) -> None:
    put_job(arm, "taken", inputs={"x": {"jobInputType": "literal", "value": "1"}})

    refused = arm.call("PUT", "jobs/taken", {"properties": {**JOB, "environmentVariables": {"A": "1"}}})

    theirs = recorded("quoted_put_immutable")["response_body"]["error"]
    assert refused.status == 400
    assert refused.body["error"]["code"] == theirs["code"]
    assert refused.body["error"]["message"] == re.sub(
        "job's .* cannot", "job's Inputs,  EnvironmentVariables cannot", theirs["message"]
    )
    assert _inner_error(refused.body) == {
        "code": "Immutable",
        "innerError": {"code": "JobPropertyImmutable", "innerError": None},
    }


def test_a_name_in_another_case_is_the_same_job(arm: Arm) -> None:
    put_job(arm, "Mixed-Case")

    assert arm.call("GET", "jobs/mixed-case").body["name"] == "Mixed-Case"
    assert arm.call("PUT", "jobs/MIXED-CASE", {"properties": JOB}).status == 200


# What is refused at once


@pytest.mark.azure_verified
def test_a_job_on_a_compute_that_does_not_exist_is_refused(arm: Arm) -> None:
    job = {**JOB, **arm.cheap_job(), "computeId": f"{arm.workspace}/computes/does-not-exist"}
    name = arm.name("lost")

    refused = arm.call("PUT", f"jobs/{name}", {"properties": job})

    assert (refused.status, refused.body["error"]["message"]) == (400, "Unknown compute target 'does-not-exist'.")
    assert arm.call("GET", f"jobs/{name}").status == 404


@pytest.mark.azure_verified
def test_a_full_environment_id_must_exist(arm: Arm) -> None:
    job = {**JOB, **arm.cheap_job(), "environmentId": f"{arm.workspace}/environments/missing/versions/7"}

    refused = arm.call("PUT", f"jobs/{arm.name('lost')}", {"properties": job})

    assert refused.status == 404
    assert refused.body["error"]["message"] == "No environment exists for name: missing, version: 7, label: "


@pytest.mark.azure_verified
@pytest.mark.parametrize("name", ["-a", "a.b", "a" * 256, "%C3%A4"])
def test_an_illegal_name_is_refused(arm: Arm, name: str) -> None:
    refused = arm.call("PUT", f"jobs/{name}", {"properties": {**JOB, **arm.cheap_job()}})

    assert refused.status == 400
    assert "is invalid" in refused.body["error"]["message"]


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        pytest.param({"command": ""}, "command", marks=pytest.mark.azure_verified),
        pytest.param({"environmentId": None}, "environmentId", marks=pytest.mark.azure_verified),
        ({"limits": {"jobLimitsType": "Command", "timeout": "an hour"}}, "limits.timeout"),
        pytest.param({"jobType": None}, "jobType", marks=pytest.mark.azure_verified),
    ],
)
def test_an_incomplete_job_is_refused(arm: Arm, properties: dict[str, Any], complaint: str) -> None:
    job = {**JOB, **arm.cheap_job(), **properties}

    refused = arm.call("PUT", f"jobs/{arm.name('lost')}", {"properties": job})

    assert refused.status == 400
    assert complaint in refused.body["error"]["message"]


# Cancel


def test_cancelling_a_running_job_is_an_operation_as_recorded(slow: Emulator, clock: ManualClock) -> None:
    arm, exchange = Arm(slow), recorded("job_cancel_running_202")
    put_job(arm, "long", environmentVariables={"SIMULATE_SECONDS": "1000"})
    slow.run(clock.advance(60))
    assert status_of(arm, "long") == "Running"

    accepted = arm.call("POST", "jobs/long/cancel", api_version="2023-04-01")

    assert (accepted.status, accepted.text) == (202, "null")
    theirs = {key.lower() for key in exchange["response_headers"]}
    assert theirs - {key.lower() for key in accepted.headers} == set()
    location = accepted.headers["Location"]
    assert re.search(r"/mfeOperationResults/jc:[0-9a-f-]{36}:long\?api-version=2023-04-01&t=.+&c=.+&s=.+&h=", location)
    assert status_of(arm, "long") == "CancelRequested"

    waiting = arm.call("GET", location)
    again = waiting.headers["Location"]
    assert (waiting.status, waiting.body, waiting.headers["Azure-AsyncOperation"]) == (202, {}, again)
    assert again.partition("?")[0] == location.partition("?")[0]
    assert again != location  # it is signed again

    slow.run(clock.advance(10))
    done = arm.call("GET", location)
    assert (done.status, done.text, done.headers["Content-Length"]) == (200, "", "0")
    assert status_of(arm, "long") == "Canceled"


def test_cancelling_a_starting_job_is_done_at_once(slow: Emulator) -> None:
    arm, exchange = Arm(slow), recorded("job_cancel_starting_200")
    put_job(arm, "early")

    answer = arm.call("POST", "jobs/early/cancel", api_version=exchange["api_version"])

    assert (answer.status, answer.text) == (exchange["status"], "")
    assert "Content-Type" not in answer.headers
    assert status_of(arm, "early") == "Canceled"


def test_cancelling_a_starting_job_is_an_operation_in_later_versions(slow: Emulator) -> None:
    arm = Arm(slow)
    put_job(arm, "early")

    # Source: job_cancel_starting_202_2026.json, job_cancel_poll_200_2026.json.
    answer = arm.call("POST", "jobs/early/cancel", api_version="2023-04-01-preview")

    assert (answer.status, answer.text) == (202, "null")
    assert arm.call("GET", answer.headers["Location"]).status == 200
    assert status_of(arm, "early") == "Canceled"


def test_cancelling_a_job_that_has_ended_changes_nothing(arm: Arm) -> None:
    exchange = recorded("job_cancel_completed_2025")
    put_job(arm, "over")
    wait_for(arm, "over", "Completed")

    answer = arm.call("POST", "jobs/over/cancel")

    assert (answer.status, answer.text) == (exchange["status"], "")
    assert answer.headers["Content-Length"] == exchange["response_headers"]["Content-Length"]
    assert status_of(arm, "over") == "Completed"


# The life of a job


def test_a_job_passes_through_the_recorded_states(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    put_job(arm, "life", environmentVariables={"SIMULATE_SECONDS": "100"})
    seen = [status_of(arm, "life")]
    for seconds in (30, 15, 15, 100, 10):
        slow.run(clock.advance(seconds))
        seen.append(status_of(arm, "life"))

    assert seen == ["Starting", "Preparing", "Queued", "Running", "Finalizing", "Completed"]


def test_a_serverless_job_can_be_cancelled_while_it_is_queued(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    put_job(arm, "life")
    slow.run(clock.advance(45))
    assert status_of(arm, "life") == "Queued"

    assert arm.call("POST", "jobs/life/cancel").status == 202

    assert status_of(arm, "life") == "Canceled"


@pytest.mark.parametrize(
    ("size", "nodes", "tier", "words"),
    [
        (
            "Standard_NC40ads_H100_v5",
            1,
            None,
            "family vCPU quota of 0 and is less than the requested job node count of 1",
        ),
        ("standard_ds3_v2", 26, None, "Standard DSv2 family vCPU quota of 100 and is less than the requested job node"),
        ("Standard_DS3_v2", 76, "Spot", "total low priority vCPU quota of 300 and is less than"),
    ],
)
def test_a_serverless_job_beyond_the_quota_fails_in_azures_words(
    arm: Arm, size: str, nodes: int, tier: str | None, words: str
) -> None:
    resources = {"instanceType": size, "instanceCount": nodes}
    put_job(arm, "big", resources=resources, queueSettings={"jobTier": tier} if tier else None)

    wait_for(arm, "big", "Failed")

    job = arm.emulator.context.store.workspaces[0].jobs["big"]
    assert job.error is not None
    assert "JobNodeCountExceedsCoreQuota" in job.error["message"]
    assert words in job.error["message"]


@pytest.mark.parametrize(("size", "nodes", "tier"), [("Standard_DS3_v2", 25, None), ("Standard_DS3_v2", 75, "Spot")])
def test_a_serverless_job_within_the_quota_runs(arm: Arm, size: str, nodes: int, tier: str | None) -> None:
    resources = {"instanceType": size, "instanceCount": nodes}
    put_job(arm, "big", resources=resources, queueSettings={"jobTier": tier} if tier else None)

    wait_for(arm, "big", "Completed")


@pytest.mark.parametrize("name", ["with/slash", "with blank", "_first", "-first", "dot.ted", "ä", "a" * 257])
def test_an_illegal_experiment_name_is_refused_in_azures_words(arm: Arm, name: str) -> None:
    refused = arm.call("PUT", "jobs/lost", {"properties": {**JOB, "experimentName": name}})

    assert (refused.status, refused.body["error"]["message"]) == (
        400,
        "Experiment name must be 1-256 characters, start with a letter or a number, and can only contain letters, "
        "numbers, underscores, and dashes.",
    )


@pytest.mark.parametrize("name", ["a", "9", "a_b-C", "a" * 256])
def test_a_legal_experiment_name_is_kept(arm: Arm, name: str) -> None:
    assert put_job(arm, "named", experimentName=name)["properties"]["experimentName"] == name


# Unknown, retired, and one that another region has.
@pytest.mark.parametrize("size", ["Standard_Nonsense", "D2", "Standard_ND96isr_H100_v5"])
def test_a_serverless_job_of_a_size_that_does_not_exist_is_refused(arm: Arm, size: str) -> None:
    refused = arm.call("PUT", "jobs/lost", {"properties": {**JOB, "resources": {"instanceType": size}}})

    assert (refused.status, refused.body["error"]["code"]) == (400, "UserError")
    assert f"The specified value {size} for property" in refused.body["error"]["message"]
    assert "Supported VM sizes: STANDARD_" in refused.body["error"]["message"]
    assert arm.call("GET", "jobs/lost").status == 404


@pytest.mark.parametrize("registry", ["nowhere", "azureml-nowhere"])
def test_an_environment_of_a_registry_that_does_not_exist_is_refused(arm: Arm, registry: str) -> None:
    environment = f"azureml://registries/{registry}/environments/sklearn/versions/7"

    refused = arm.call("PUT", "jobs/lost", {"properties": {**JOB, "environmentId": environment}})

    # Source: Azure/azure-sdk-for-python#38594.
    assert refused.status == 404
    assert refused.body["error"]["message"] == "No environment exists for name: sklearn, version: 7, label: "


def test_an_environment_of_microsofts_registry_is_accepted(arm: Arm) -> None:
    put_job(arm, "curated", environmentId="azureml://registries/azureml/environments/sklearn-1.5/versions/1")


def test_jobs_wait_for_a_free_node_in_the_order_they_came(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    compute_id = put_cluster(arm, "cpu", nodes=1)
    for name in ("first", "second", "third"):
        put_job(arm, name, computeId=compute_id, environmentVariables={"SIMULATE_SECONDS": "100"})

    def states() -> list[str]:
        return [status_of(arm, name) for name in ("first", "second", "third")]

    slow.run(clock.advance(100))
    assert states() == ["Running", "Queued", "Queued"]
    slow.run(clock.advance(150))
    assert states() == ["Completed", "Running", "Queued"]
    slow.run(clock.advance(300))
    assert states() == ["Completed", "Completed", "Completed"]


def test_a_queued_job_can_be_cancelled_and_lets_others_pass(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    compute_id = put_cluster(arm, "cpu", nodes=1)
    for name in ("first", "second", "third"):
        put_job(arm, name, computeId=compute_id, environmentVariables={"SIMULATE_SECONDS": "100"})
    slow.run(clock.advance(100))

    assert arm.call("POST", "jobs/second/cancel").status == 202
    slow.run(clock.advance(150))

    assert [status_of(arm, name) for name in ("second", "third")] == ["Canceled", "Running"]


def test_a_job_that_needs_more_nodes_than_there_are_fails(arm: Arm) -> None:
    put_job(arm, "wide", computeId=put_cluster(arm, "cpu", nodes=1), resources={"instanceCount": 2})

    wait_for(arm, "wide", "Failed")


def test_past_its_time_limit_a_job_is_cancelled(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    put_job(
        arm,
        "slow",
        limits={"jobLimitsType": "Command", "timeout": "PT5M"},
        environmentVariables={"SIMULATE_SECONDS": "1000"},
    )

    slow.run(clock.advance(60 + 299))
    assert status_of(arm, "slow") == "Running"
    slow.run(clock.advance(11))
    assert status_of(arm, "slow") == "Canceled"


def test_a_failed_job_says_no_reason_in_arm(arm: Arm) -> None:
    put_job(arm, "bad", environmentVariables={"SIMULATE_EXIT_CODE": "3"})
    wait_for(arm, "bad", "Failed")

    body = arm.call("GET", "jobs/bad").text

    assert "error" not in body.replace("errorMessage", "")
    job = arm.emulator.context.store.workspaces[0].jobs["bad"]
    assert job.error is not None
    assert "exited with status code 3" in job.error["message"]


# Listings


def test_a_listing_filters_by_tag_key_property_and_view(arm: Arm) -> None:
    put_job(arm, "tagged", tags={"run": "1"})
    put_job(arm, "property", properties={"stage": "train"})
    put_job(arm, "hidden", isArchived=True)

    def names(query: str) -> list[str]:
        return [job["name"] for job in arm.call("GET", f"jobs?{query}").body["value"]]

    assert names("tag=run") == ["tagged"]
    assert names("tag=1") == []
    assert names("properties=stage") == ["property"]
    assert names("properties=stage=train") == ["property"]
    assert names("properties=stage=test") == []
    assert names("jobType=Sweep") == []
    assert names("jobType=Command") == ["property", "tagged"]
    assert names("listViewType=ArchivedOnly") == ["hidden"]
    assert names("listViewType=All") == ["hidden", "property", "tagged"]


def test_pages_neither_repeat_nor_miss_a_job_when_one_is_made_in_between(arm: Arm) -> None:
    arm.emulator.context.settings.page_size = 2
    for number in range(5):
        put_job(arm, f"job-{number}", tags={"run": "1"})

    page = arm.call("GET", "jobs?tag=run").body
    names = [job["name"] for job in page["value"]]
    put_job(arm, "latecomer", tags={"run": "1"})
    while "nextLink" in page:
        page = arm.call("GET", page["nextLink"]).body
        names += [job["name"] for job in page["value"]]

    assert names == [f"job-{number}" for number in (4, 3, 2, 1, 0)]


def _inner_error(body: dict[str, Any]) -> Any:
    info = {item["type"]: item["info"]["value"] for item in body["error"]["additionalInfo"]}
    assert {"ComponentName", "Correlation", "Environment", "Location", "Time"} < set(info)
    return info["InnerError"]
