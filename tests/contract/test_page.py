"""The emulator's page for a browser: who may see it, and what it is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.test_access import Answer, send
from tests.contract.test_pipelines import component, end_of, node
from tests.contract.test_pipelines import submit as submit_pipeline
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.page.sessions import COOKIE, KEY_LIFETIME
from zenml_azureml.emulator.server import Emulator

PAGE = "/_emulator/page"


def link(arm: Arm) -> str:
    answer = arm.call("POST", "/_emulator/open", {})
    assert answer.status == 201
    return str(answer.body["url"]).removeprefix(arm.emulator.base_url)


def cookie(arm: Arm) -> dict[str, str]:
    status, _, headers = send(arm.emulator, "GET", link(arm))
    assert (status, headers["location"]) == (303, PAGE)
    return {"Cookie": headers["set-cookie"].partition(";")[0]}


def get(arm: Arm, path: str, headers: dict[str, str] | None = None) -> Answer:
    return send(arm.emulator, "GET", path, headers)


def submit(arm: Arm, name: str = "job", **more: object) -> None:
    sent = {"jobType": "Command", "command": "train", "environmentId": "azureml:image:1", **more}
    assert arm.call("PUT", f"jobs/{name}", {"properties": sent}).status == 201


def paths(arm: Arm) -> list[str]:
    workspace = arm.emulator.context.store.workspaces[0]
    job = f"{PAGE}/jobs/{workspace.workspace_id}/job"
    return [
        "/",
        "/runs/job",
        "/data/asset/1/details",
        PAGE,
        f"{PAGE}/page.js",
        f"{PAGE}/page.css",
        f"{PAGE}/data",
        job,
        f"{job}/log?file=std_log.txt",
    ]


def test_without_the_cookie_there_is_only_the_way_to_it(arm: Arm) -> None:
    submit(arm)
    for path in paths(arm):
        for headers in ({}, {"Cookie": f"{COOKIE}=guess"}, arm.emulator.admin_headers):
            status, text, _ = get(arm, path, headers)
            assert status == 401, path
            assert "zenml-azureml emulator open" in text
            assert "job" not in text


def test_a_link_lets_one_browser_in_once(arm: Arm) -> None:
    submit(arm)
    found = link(arm)
    status, _, headers = get(arm, found)
    assert status == 303
    assert re.search(r"HttpOnly.*Path=/.*SameSite=Lax.*Secure", headers["set-cookie"])

    again = get(arm, found)

    assert again[0] == 401
    assert "has been used" in again[1]
    mine = {"Cookie": headers["set-cookie"].partition(";")[0]}
    for path in paths(arm):
        status, _, answered = get(arm, path, mine)
        assert status in (200, 303, 404), path  # 404: the job may have no log yet
        assert "script-src 'self'" in answered["content-security-policy"]
        assert answered["cache-control"] == "no-store"
    assert get(arm, found, mine)[0] == 303


def test_a_link_is_good_for_five_minutes(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    found = link(arm)
    slow.run(clock.advance(KEY_LIFETIME.total_seconds()))

    assert get(arm, found)[0] == 401


def test_links_are_made_for_the_key_of_the_interface_only(arm: Arm) -> None:
    status, text, _ = send(arm.emulator, "POST", "/_emulator/open", {"Content-Type": "application/json"}, "{}")

    assert status == 401
    assert "?key=" not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Origin": "https://127.0.0.1:1"},
        {"Host": "example.org"},
    ],
)
def test_pages_of_other_origins_learn_nothing_with_the_cookie(arm: Arm, headers: dict[str, str]) -> None:
    assert get(arm, f"{PAGE}/data", {**cookie(arm), **headers})[0] == 403


def test_the_cookie_opens_nothing_but_the_page(arm: Arm) -> None:
    mine = cookie(arm)

    for path in ("/_emulator/status", "/_emulator/requests", f"{arm.workspace}/jobs?api-version=2024-04-01"):
        assert get(arm, path, mine)[0] == 401
    assert get(arm, f"{PAGE}/%2e%2e/status", mine)[0] in (401, 404)


def test_keys_and_the_page_itself_are_not_in_the_record_of_requests(arm: Arm) -> None:
    get(arm, f"{PAGE}/data", cookie(arm))

    assert arm.call("GET", "/_emulator/requests").body == []


def test_links_to_studio_lead_to_the_job(arm: Arm) -> None:
    submit(arm)
    studio = arm.call("GET", "jobs/job").body["properties"]["services"]["Studio"]["endpoint"]
    assert studio.startswith(f"{arm.emulator.base_url}/runs/job?wsid=/subscriptions/")
    workspace = arm.emulator.context.store.workspaces[0]

    status, _, headers = get(arm, studio.removeprefix(arm.emulator.base_url), cookie(arm))

    assert (status, headers["location"]) == (303, f"{PAGE}#/jobs/{workspace.workspace_id}/job")
    link_of_another = get(arm, "/runs/none?wsid=/x", {**cookie(arm), "Sec-Fetch-Site": "cross-site"})
    assert link_of_another[2]["location"] == f"{PAGE}#/jobs"
    assert get(arm, "/data/asset/1/details?wsid=/x", cookie(arm))[2]["location"] == f"{PAGE}#/jobs"


def data_of(arm: Arm, path: str) -> dict[str, Any]:
    status, text, _ = get(arm, f"{PAGE}/{path}", cookie(arm))
    assert status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_shows_jobs_with_inputs_outputs_and_log_and_no_values_of_variables(arm: Arm) -> None:
    rate = {"rate": {"jobInputType": "literal", "value": "0.1"}}
    outputs = {"model": {"jobOutputType": "uri_folder", "assetName": "churn"}}
    submit(arm, inputs=rate, outputs=outputs, environmentVariables={"TOKEN": "s3cret", "SIMULATE_LINES": "3"})
    end_of(arm, "job")
    workspace = arm.emulator.context.store.workspaces[0].workspace_id

    detail = data_of(arm, f"jobs/{workspace}/job")

    assert detail["inputs"] == [{"name": "rate", "type": "literal", "value": "0.1", "mode": None, "asset": None}]
    assert [(one["name"], one["value"], one["asset"]) for one in detail["outputs"]] == [
        ("model", "azureml://datastores/workspaceblobstore/paths/azureml/job/model", "churn:1"),
        ("default", "azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.job", None),
    ]
    assert detail["variables"] == ["SIMULATE_LINES", "TOKEN"]
    assert "s3cret" not in str(detail)
    path = f"{PAGE}/jobs/{workspace}/job/log?file=std_log.txt"
    status, text, headers = get(arm, path, cookie(arm))
    assert (status, len(text.splitlines())) == (200, 3)
    assert headers["x-offset"] == str(len(text.encode()))
    assert get(arm, f"{path}&from={headers['x-offset']}", cookie(arm))[1] == ""
    assert get(arm, f"{path}&from=5", cookie(arm))[1] == text[5:]
    for wrong in ("../std_log.txt", "", "none"):
        assert get(arm, path.replace("std_log.txt", wrong), cookie(arm))[0] == 404


def test_a_log_that_leads_out_of_its_folder_is_not_shown(arm: Arm, tmp_path: Path) -> None:
    submit(arm)
    end_of(arm, "job")
    job = arm.emulator.context.store.workspaces[0].jobs["job"]
    (tmp_path / "secret.txt").write_text("s3cret")
    (job.log_folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    workspace = arm.emulator.context.store.workspaces[0].workspace_id

    detail = data_of(arm, f"jobs/{workspace}/job")

    assert [one["name"] for one in detail["logs"]] == ["std_log.txt"]
    assert get(arm, f"{PAGE}/jobs/{workspace}/job/log?file=link.txt", cookie(arm))[0] == 404


def test_a_long_log_is_shown_from_its_end_and_then_in_whole_lines(arm: Arm) -> None:
    submit(arm)
    end_of(arm, "job")
    log = arm.emulator.context.store.workspaces[0].jobs["job"].log_folder / "std_log.txt"
    log.write_text("".join(f"line {number}\n" for number in range(60_000)))
    path = f"{PAGE}/jobs/{arm.emulator.context.store.workspaces[0].workspace_id}/job/log?file=std_log.txt"

    text, headers = get(arm, path, cookie(arm))[1:]
    assert text.endswith("line 59999\n")
    assert int(headers["x-begin"]) > 0

    text, headers = get(arm, f"{path}&from=0", cookie(arm))[1:]
    assert text.startswith("line 0\n")
    assert text.endswith("\n")
    assert get(arm, f"{path}&from={headers['x-offset']}", cookie(arm))[1].startswith("line ")


def test_it_shows_pipelines_computes_requests_faults_and_scenarios(arm: Arm) -> None:
    submit_pipeline(arm, {"only": node(component(arm))})
    end_of(arm)
    cluster = {"vmSize": "STANDARD_DS2_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}
    body = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": cluster}}
    arm.call("PUT", "computes/cpu", body, api_version="2024-04-01")
    arm.call("POST", "/_emulator/faults", {"status": 503, "path": "/nowhere"})
    arm.call("POST", "/_emulator/scenario", {"name": "preempted"})

    found = data_of(arm, "data")

    jobs = found["jobs"]
    assert isinstance(jobs, list)
    assert [(job["displayName"], job["parent"]) for job in jobs] == [("only", "pipeline"), ("pipeline", None)]
    (compute,) = found["computes"]
    assert (compute["name"], compute["kind"], compute["busy"]) == ("cpu", "AmlCompute", 0)
    assert found["requests"][0]["path"].endswith("/computes/cpu")
    assert found["faults"][0]["path"] == "/nowhere"
    assert found["scenarios"][0]["name"] == "preempted"
