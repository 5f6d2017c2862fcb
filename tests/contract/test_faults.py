"""What goes wrong on purpose, as the real SDK and a bare client meet it; and what the record says of it."""

from __future__ import annotations

import time
from http.client import IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.ai.ml import MLClient, command
from azure.core.exceptions import HttpResponseError

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from zenml_azureml.emulator.services.aml.curated import LISTED

JOB = {"properties": {"jobType": "Command", "command": "echo", "environmentId": "azureml:some:1"}}


def arm_fault(arm: Arm, **fault: Any) -> None:
    answer = arm.call("POST", "/_emulator/faults", fault)
    assert answer.status == 201, answer.text


def requests(arm: Arm) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = arm.call("GET", "/_emulator/requests").body
    return found


def test_a_status_is_answered_as_often_as_asked_then_no_more(arm: Arm) -> None:
    error = {"error": {"code": "TooManyRequests", "message": "Slow down."}}
    arm_fault(arm, method="get", path="/JOBS$", times=2, status=429, body=error, headers={"Retry-After": "7"})

    first = arm.call("GET", "jobs")
    assert (first.status, first.body, first.headers["Retry-After"]) == (429, error, "7")
    assert arm.call("PUT", "jobs/other", JOB).status == 201
    assert [arm.call("GET", "jobs").status for _ in range(2)] == [429, 200]
    (armed,) = arm.call("GET", "/_emulator/faults").body
    assert (armed["times"], armed["fired"]) == (2, 2)


def test_a_lost_answer_leaves_what_was_asked_done(arm: Arm) -> None:
    arm_fault(arm, method="PUT", path="/jobs/", status=503, processed=True)

    assert arm.call("PUT", "jobs/lost", JOB).status == 503
    assert arm.call("GET", "jobs/lost").status == 200


def test_a_fault_before_processing_leaves_nothing_done(arm: Arm) -> None:
    arm_fault(arm, method="PUT", path="/jobs/", status=503)

    assert arm.call("PUT", "jobs/lost", JOB).status == 503
    assert arm.call("GET", "jobs/lost").status == 404


def test_a_fault_meets_the_requests_of_one_client_alone(arm: Arm, ml_client: MLClient) -> None:
    arm_fault(arm, method="GET", path="/jobs$", client="azsdk-python.*", status=403)

    assert arm.call("GET", "jobs").status == 200
    with pytest.raises(HttpResponseError):
        list(ml_client.jobs.list())
    assert list(ml_client.jobs.list()) == []


@pytest.mark.parametrize("processed", [True, False])
def test_a_reset_is_one_on_the_wire(arm: Arm, processed: bool) -> None:
    arm_fault(arm, method="PUT", path="/jobs/", reset=True, processed=processed)

    with pytest.raises(ConnectionResetError):
        arm.call("PUT", "jobs/cut", JOB)

    assert arm.call("GET", "jobs/cut").status == (200 if processed else 404)
    assert [entry["status"] for entry in requests(arm)] == [None, 200 if processed else 404]


def test_the_sdk_sends_a_job_again_whose_answer_was_cut_off(arm: Arm, ml_client: MLClient) -> None:
    arm_fault(arm, method="PUT", path="/jobs/", reset=True, processed=True)

    job = ml_client.jobs.create_or_update(command(name="again", command="echo", environment="azureml:azureml-any:1"))

    assert job.name == "again"
    puts = [entry for entry in requests(arm) if entry["method"] == "PUT"]
    assert [entry["status"] for entry in puts] == [None, 200]


def test_a_delay_holds_the_answer_back(arm: Arm) -> None:
    arm_fault(arm, path="/jobs$", delay=0.2)
    begin = time.monotonic()

    assert arm.call("GET", "jobs").status == 200

    assert time.monotonic() - begin >= 0.2
    assert requests(arm)[0]["duration"] >= 0.2


def test_a_fault_waits_until_so_many_requests_have_passed(arm: Arm) -> None:
    arm_fault(arm, path="/jobs$", after=2, status=500)
    arm_fault(arm, path="/jobs$", after=2, status=503)

    assert [arm.call("GET", "jobs").status for _ in range(5)] == [200, 200, 500, 503, 200]


def test_faults_can_be_taken_back(arm: Arm) -> None:
    arm_fault(arm, path="/jobs$", times=100, status=500)
    assert arm.call("GET", "jobs").status == 500

    assert arm.call("DELETE", "/_emulator/faults").status == 204

    assert arm.call("GET", "jobs").status == 200
    assert arm.call("GET", "/_emulator/faults").body == []


def test_a_page_is_answered_as_proxies_do(arm: Arm) -> None:
    arm_fault(arm, path="/jobs$", status=200, html="<html>Please log in</html>")

    answer = arm.call("GET", "jobs")

    assert (answer.status, answer.text) == (200, "<html>Please log in</html>")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_an_answer_is_cut_off_in_the_middle(arm: Arm) -> None:
    arm_fault(arm, method="PUT", path="/jobs/", truncated=True)

    with pytest.raises((ConnectionResetError, IncompleteRead)):
        arm.call("PUT", "jobs/cut", JOB)

    assert arm.call("GET", "jobs/cut").status == 200
    assert requests(arm)[0]["status"] is None


def test_a_log_whose_answer_is_lost_is_not_sent_either(arm: Arm) -> None:
    arm.call("PUT", "jobs/done", JOB)
    job = arm.emulator.context.store.workspaces[0].jobs["done"]
    eventually(lambda: job.is_terminal)
    details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/done/details").body
    log = urlsplit(details["logFiles"]["user_logs/std_log.txt"])
    arm_fault(arm, path="std_log", status=503, processed=True)

    without_token = {"Authorization": ""}
    assert arm.call("GET", f"{log.path}?{log.query}", headers=without_token).text == "null"
    assert arm.call("GET", f"{log.path}?{log.query}", headers=without_token).text == "simulated line 1 of 1\n"


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({}, "nothing would go wrong"),
        ({"status": 199}, "status: Input should be greater than or equal to 200"),
        ({"status": 500, "reset": True}, "exclude each other"),
        ({"reset": True, "truncated": True}, "exclude each other"),
        ({"status": 502, "body": {}, "html": "<html>"}, "`body` or `html`, not both"),
        ({"status": 500, "times": 0}, "times"),
        ({"status": 500, "path": "("}, "path: Value error, not a regular expression"),
        ({"reset": True, "headers": {"A": "b"}}, "need a `status`"),
        ({"staus": 500}, "staus: Extra inputs are not permitted"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(arm: Arm, fault: dict[str, Any], complaint: str) -> None:
    refused = arm.call("POST", "/_emulator/faults", fault)

    assert refused.status == 400
    assert complaint in refused.body["error"]
    assert arm.call("GET", "/_emulator/faults").body == []


# Settings


def test_settings_change_how_the_emulator_behaves(arm: Arm) -> None:
    changed = arm.call("POST", "/_emulator/settings", {"page_size": 1, "simulated_exit_code": 3}).body
    assert (changed["page_size"], changed["simulated_exit_code"]) == (1, 3)

    for name in ("one", "two"):
        arm.call("PUT", f"jobs/{name}", JOB)
    assert "nextLink" in arm.call("GET", "jobs").body
    while (status := arm.call("GET", "jobs/two").body["properties"]["status"]) != "Failed":
        assert status != "Completed"


def test_latency_is_added_to_every_answer(arm: Arm) -> None:
    arm.call("POST", "/_emulator/settings", {"latency": 0.15})

    arm.call("GET", "jobs")

    assert requests(arm)[0]["duration"] >= 0.15


@pytest.mark.parametrize("wrong", [{"latency": -1}, {"page_size": 0}, {"speed": 2}, {"latency": 1, "page_size": "no"}])
def test_wrong_settings_change_nothing(arm: Arm, wrong: dict[str, Any]) -> None:
    before = arm.call("GET", "/_emulator/settings").body

    refused = arm.call("POST", "/_emulator/settings", wrong)

    assert refused.status == 400
    assert arm.call("GET", "/_emulator/settings").body == before


@pytest.mark.parametrize("path", ["faults", "settings"])
def test_a_body_that_is_no_json_object_is_refused(arm: Arm, path: str) -> None:
    assert arm.call("POST", f"/_emulator/{path}", ["a"]).status == 400
    assert arm.call("POST", f"/_emulator/{path}").status == 400


# The record of requests


def test_every_request_is_recorded_but_those_to_the_emulator_itself(arm: Arm) -> None:
    sent = arm.call("GET", "jobs?tag=run")
    arm.call("GET", "/_emulator/health")

    (entry,) = requests(arm)

    assert (entry["method"], entry["path"], entry["status"]) == ("GET", f"{arm.workspace}/jobs", 200)
    assert entry["query"] == "tag=run&api-version=2024-01-01-preview"
    headers = sum(len(f"{key}: {value}\r\n") for key, value in sent.headers.items())
    assert entry["bytes_sent"] == len("HTTP/1.1 200 OK\r\n") + headers + len("\r\n") + len(sent.text)
    assert entry["id"] == sent.headers["x-ms-request-id"]
    assert 0 <= entry["duration"] < 5
    assert entry["start"].startswith("20")


def test_no_secret_is_recorded(arm: Arm) -> None:
    arm.call("PUT", "jobs/a", {"properties": {**JOB["properties"], "environmentVariables": {"KEY": "hidden-1"}}})
    arm.call("GET", "/azureml/log.txt?sv=2020&sig=hidden-2&sp=r")
    arm.call("POST", f"/{arm.emulator.tenant_id}/oauth2/v2.0/token?sig=hidden-3")

    text = arm.call("GET", "/_emulator/requests").text

    assert "hidden" not in text
    assert "Bearer" not in text
    assert "sig=REDACTED&sp=r" in text


def test_requests_of_one_connection_carry_its_number(arm: Arm, ml_client: MLClient) -> None:
    for _ in range(3):
        list(ml_client.jobs.list())
    arm.call("GET", "jobs")

    listings = [entry["connection"] for entry in requests(arm) if entry["path"].endswith("/jobs")]

    assert len(listings) == 4
    assert len(set(listings[:3])) == 1
    assert listings[3] not in listings[:3]


# The jobs


def test_every_job_is_told_with_its_state_and_tags(arm: Arm) -> None:
    for name, tags in (("first", {"a": "1"}), ("second", {})):
        arm.call("PUT", f"jobs/{name}", {"properties": {**JOB["properties"], "tags": tags}})
    eventually(lambda: all(job["status"] == "Completed" for job in arm.call("GET", "/_emulator/jobs").body))

    first, second = arm.call("GET", "/_emulator/jobs").body

    assert (first["name"], first["tags"], second["name"]) == ("first", {"a": "1"}, "second")
    assert first["created"] < second["created"]


# Reset


def test_a_reset_clears_everything_but_settings(arm: Arm) -> None:
    arm.call("POST", "/_emulator/settings", {"page_size": 7})
    arm.call("PUT", "environments/ours/versions/1", {"properties": {"image": "image:1"}})
    variables = {"SIMULATE_SECONDS": "1000"}
    arm.call("PUT", "jobs/a", {"properties": {**JOB["properties"], "environmentVariables": variables}})
    arm_fault(arm, status=500, path="/nowhere")

    assert arm.call("POST", "/_emulator/reset").status == 204

    assert requests(arm) == []
    assert arm.call("GET", "/_emulator/faults").body == []
    assert arm.call("GET", "jobs").body == {"value": []}
    assert [found["name"] for found in arm.call("GET", "environments").body["value"]] == [LISTED[0].name]
    assert arm.call("GET", "/_emulator/settings").body["page_size"] == 7
    assert not (arm.emulator.context.folder / "jobs").exists()
    assert arm.call("PUT", "jobs/a", JOB).status == 201
