"""The guard of costs lets pass what was announced, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.live.guard import Guard, RefusedError, prices_in
from tests.live.ledger import Ledger

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
PRICES = {"standard_ds2_v2": 0.15, "standard_nc24ads_a100_v4": 4.5}
GUARD = Guard(WORKSPACE, ("zenml-azureml-live", "run"), PRICES, most_jobs=2)
URL = f"https://management.azure.com{WORKSPACE}"

TAGS = {"zenml-azureml-live": "run"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "run" / "ledger.jsonl")


def job(**changes: Any) -> dict[str, Any]:
    return {
        "properties": {
            "jobType": "Command",
            "tags": TAGS,
            "limits": {"jobLimitsType": "Command", "timeout": "PT5M"},
            "resources": {"instanceCount": 1, "instanceType": "Standard_DS2_v2"},
            **changes,
        }
    }


def cluster(size: str = "STANDARD_DS2_V2", least: int = 0, most: int = 2, **changes: Any) -> dict[str, Any]:
    inner = {"vmSize": size, "scaleSettings": {"minNodeCount": least, "maxNodeCount": most}}
    return {"tags": TAGS, "properties": {"computeType": "AmlCompute", "properties": inner}, **changes}


def check(method: str, path: str, body: object, ledger: Ledger) -> None:
    whole = path if path.startswith("/") else f"{WORKSPACE}/{path}"
    GUARD.check(method, whole, None if body is None else json.dumps(body), ledger)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/subscriptions/other", None),
        ("PUT", "jobs/one", job()),
        ("PUT", "jobs/one", job(resources={"instanceCount": 2, "instanceType": "standard_ds2_v2"})),
        ("PUT", "computes/cpu", cluster()),
        ("PUT", "environments/e/versions/1", {"properties": {"image": "a"}}),
        ("POST", "computes/cpu/listNodes", None),
        ("PUT", "data/zlrun-out/versions/1", {}),
        ("DELETE", "data/zlrun-out/versions/1", None),
        ("PUT", "datastores/zlrun_plain", {"properties": {"credentials": {"credentialsType": "None"}}}),
        ("DELETE", "datastores/zlrun_plain", None),
    ],
)
def test_what_was_announced_passes(method: str, path: str, body: object, ledger: Ledger) -> None:
    check(method, path, body, ledger)


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("PUT", "jobs/one", job(tags={}), "lacks the tag"),
        ("DELETE", "data/images/versions/1", None, "have no need of it"),
        ("PUT", "data/images/versions/1", {}, "have no need of it"),
        ("PUT", "datastores/theirs", {}, "have no need of it"),
        ("DELETE", "datastores/workspaceblobstore", None, "have no need of it"),
        (
            "PUT",
            "datastores/zlrun_key",
            {"properties": {"credentials": {"credentialsType": "Sas"}}},
            "store credentials",
        ),
        ("POST", "datastores/zlrun_key/x", None, "POST of a datastore"),
        ("PUT", "jobs/one", job(tags={"zenml-azureml-live": "another"}), "lacks the tag"),
        ("PUT", "jobs/one", job(limits=None), "timeout is missing"),
        ("PUT", "jobs/one", job(limits={"timeout": "PT11M"}), "the most is 10 minutes"),
        ("PUT", "jobs/one", job(limits={"timeout": "P7D"}), "the most is 10 minutes"),
        ("PUT", "jobs/one", job(limits={"timeout": "PT"}), "the most is 10 minutes"),
        ("PUT", "jobs/one", job(resources={"instanceCount": 3, "instanceType": "standard_ds2_v2"}), "3 nodes"),
        ("PUT", "jobs/one", job(resources={"instanceType": "Standard_NC24ads_A100_v4"}), "costs 4.50 USD"),
        ("PUT", "jobs/one", job(resources={"instanceType": "Standard_New_v9"}), "price of Standard_New_v9 is unknown"),
        ("PUT", "jobs/one", job(resources={}), "names no VM size"),
        ("PUT", "jobs/one", job(resources={}, computeId=f"{WORKSPACE}/computes/theirs"), "not made by this run"),
        ("PUT", "computes/gpu", cluster("Standard_NC24ads_A100_v4"), "costs 4.50 USD"),
        ("PUT", "computes/cpu", cluster(least=1), "would keep 1 nodes"),
        ("PUT", "computes/cpu", cluster(most=50), "up to 50 nodes"),
        ("PUT", "computes/cpu", cluster(tags={}), "lacks the tag"),
        ("PUT", "computes/i", {"tags": TAGS, "properties": {"computeType": "ComputeInstance"}}, "only clusters"),
        ("PATCH", "computes/theirs", cluster(), "not made by this run"),
        ("DELETE", "computes/theirs", None, "not made by this run"),
        ("POST", "computes/theirs/start", None, "costs as long as it runs"),
        ("POST", "jobs/theirs/cancel", None, "did not submit"),
        ("DELETE", "jobs/theirs", None, "did not submit"),
        ("DELETE", "environments/theirs/versions/1", None, "not made by this run"),
        ("PUT", "onlineEndpoints/e", {}, "no need of it"),
        ("PUT", "schedules/s", {}, "no need of it"),
        ("PATCH", WORKSPACE, {"tags": {}}, "outside of the workspace"),
        ("DELETE", WORKSPACE, None, "outside of the workspace"),
        ("PUT", f"{WORKSPACE}2/jobs/one", job(), "outside of the workspace"),
        ("PUT", "/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/r", {}, "outside of the workspace"),
    ],
)
def test_all_else_is_refused(method: str, path: str, body: object, reason: str, ledger: Ledger) -> None:
    with pytest.raises(RefusedError, match=reason):
        check(method, path, body, ledger)


def test_a_job_lasts_as_long_as_was_announced(ledger: Ledger) -> None:
    longer = replace(GUARD, most_minutes=90)

    longer.check("PUT", f"{WORKSPACE}/jobs/one", json.dumps(job(limits={"timeout": "PT90M"})), ledger)
    with pytest.raises(RefusedError, match="the most is 90 minutes"):
        longer.check("PUT", f"{WORKSPACE}/jobs/one", json.dumps(job(limits={"timeout": "PT91M"})), ledger)


def submit(name: str, ledger: Ledger, status: int = 201) -> None:
    check("PUT", f"jobs/{name}", job(), ledger)
    ledger.will_send("PUT", f"{URL}/jobs/{name}?api-version=1")
    ledger.was_answered("PUT", f"{URL}/jobs/{name}?api-version=1", status, {})


def seen(name: str, status: str) -> dict[str, Any]:
    return {"id": f"{WORKSPACE}/jobs/{name}", "name": name, "properties": {"status": status}}


def test_one_job_runs_at_a_time(ledger: Ledger) -> None:
    submit("one", ledger)
    ledger.was_answered("GET", f"{URL}/jobs/one", 200, seen("one", "Running"))

    with pytest.raises(RefusedError, match="Job one has not ended"):
        submit("two", ledger)
    submit("one", ledger, 200)  # the same again is the same job

    ledger.was_answered("GET", f"{URL}/jobs?tag=x", 200, {"value": [seen("one", "Canceled")]})
    submit("two", ledger)


def test_a_job_that_may_have_been_accepted_counts(ledger: Ledger) -> None:
    submit("one", ledger, 500)  # an answer of 500, or none at all, says nothing

    with pytest.raises(RefusedError, match="Job one has not ended"):
        submit("two", ledger)

    ledger.was_answered("GET", f"{URL}/jobs/one", 404, {})  # it was not
    submit("two", ledger)


def test_no_more_jobs_run_than_were_announced(ledger: Ledger) -> None:
    for name in ("one", "two"):
        submit(name, ledger)
        ledger.was_answered("GET", f"{URL}/jobs/{name}", 200, seen(name, "Completed"))
    submit("two", ledger, 400)  # a refusal does not undo it

    with pytest.raises(RefusedError, match="2 were announced"):
        submit("three", ledger)


def test_a_refused_job_costs_nothing_and_does_not_count(ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        submit(name, ledger, 400)

    submit("one", ledger)


def test_what_the_run_has_made_can_be_changed_and_deleted(ledger: Ledger) -> None:
    for made in ("computes/cpu", "environments/e/versions/1"):
        ledger.will_send("PUT", f"{URL}/{made}?api-version=1")
        ledger.was_answered("PUT", f"{URL}/{made}?api-version=1", 201, {})

    check("PATCH", "computes/CPU", cluster(), ledger)
    check("PUT", "jobs/one", job(computeId=f"{WORKSPACE}/computes/cpu", resources={}), ledger)
    check("DELETE", "environments/e/versions/1", None, ledger)
    check("DELETE", "computes/cpu", None, ledger)
    ledger.was_answered("DELETE", f"{URL}/computes/cpu", 202, None)

    assert ledger.made() == {f"{WORKSPACE}/environments/e/versions/1".lower()}


def test_the_highest_price_for_linux_counts() -> None:
    recorded = json.loads((Path(__file__).parents[1] / "contract/recorded/vmsizes_list_2025.json").read_text())

    prices = prices_in(recorded["response_body"])

    assert prices
    assert all(name == name.lower() and price > 0 for name, price in prices.items())
