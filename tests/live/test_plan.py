"""What is announced before anything is created."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
import yaml
from scripts import emulated_operations

from tests.live import verified
from tests.live.known import of_run
from tests.live.plan import Needs, Plan, is_confirmed
from tests.live.target import Target, TargetError

PRICES = {"standard_ds2_v2": 0.12, "standard_nd96": 30.0}


def test_the_highest_cost_is_that_of_all_nodes_for_all_of_their_time() -> None:
    needs = [Needs(jobs=1), Needs(jobs=2, nodes=2), Needs(clusters=1), Needs(environments=3, secrets=1), Needs()]

    plan = Plan.of(needs, "Standard_DS2_v2", PRICES)

    assert (plan.tests, plan.jobs, plan.node_jobs, plan.clusters) == (5, 3, 5, 1)
    assert plan.most_cost == pytest.approx(5 * 20 / 60 * 0.12)
    shown = plan.announcement("w", "g", "westeurope", "https://management.azure.com", ("tag", "run"))
    assert "Highest cost: 0.20 USD" in shown
    for what in ("3 jobs", "1 compute clusters with 0 nodes", "3 environments", "1 secrets", "tag=run", "Ctrl+C"):
        assert what in shown


def test_a_longer_wait_of_a_job_costs_more_and_is_announced() -> None:
    needs = [Needs(jobs=1, holds=1), Needs(jobs=1)]
    address = ("w", "g", "westeurope", "https://management.azure.com", ("tag", "run"))

    usual, longer = (Plan.of(needs, "Standard_DS2_v2", PRICES, minutes) for minutes in (4, 65))

    assert (usual.most_minutes, longer.most_minutes) == (10, 65)
    assert longer.most_cost - usual.most_cost == pytest.approx(60 / 60 * 0.12)
    assert "one of the jobs waits 65 minutes, as HOLD= says" in longer.announcement(*address)
    assert "HOLD" not in usual.announcement(*address)
    assert Plan.of([Needs(jobs=1)], "Standard_DS2_v2", PRICES, 65).most_minutes == 10


@pytest.mark.parametrize(("size", "why"), [("Standard_ND96", "costs 30.00 USD"), ("Standard_X", "no price")])
def test_a_size_without_a_low_price_is_refused(size: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Plan.of([], size, PRICES)


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("yes\n", True), ("Y", True), ("no\n", False), ("", False), ("\n", False), ("yesterday", False)],
)
def test_only_a_yes_is_a_yes(answer: str, agreed: bool) -> None:
    assert is_confirmed(answer) is agreed


@pytest.mark.parametrize(
    "workspace_id", ["", "vision-prod", "/subscriptions/s/resourceGroups/g", "https://ml.azure.com"]
)
def test_something_else_than_a_workspace_is_refused(workspace_id: str) -> None:
    with pytest.raises(TargetError, match="no ARM id of a workspace"):
        Target.of(workspace_id, "run", {})


def test_the_target_is_azure_unless_the_environment_names_another_endpoint() -> None:
    workspace = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"

    assert Target.of(workspace, "run", {}).is_azure
    assert not Target.of(workspace, "run", {"AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"}).is_azure
    assert Target.from_environment({}) is None


def test_a_repr_has_no_value_that_is_known() -> None:
    known = of_run(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w",
        "https://management.azure.com",
        {"upn": "ada@contoso.example"},
        tokens=["the-token"],
    )

    assert "ada" not in repr(known)
    assert "the-token" not in repr(known)


# What is verified


def test_a_run_dates_the_tests_that_have_passed_and_keeps_the_others() -> None:
    before = {"a": {"date": "2026-01-01", "operations": ["GET jobs"]}, "b": {"date": "2026-01-01", "operations": []}}
    used = {"a": {"PUT jobs/{job}", "GET jobs"}, "c": {"GET computes"}}

    after = verified.updated(before, ["a", "never-sent"], used, date(2026, 2, 3))

    assert after == {**before, "a": {"date": "2026-02-03", "operations": ["GET jobs", "PUT jobs/{job}"]}}


def test_the_documents_count_operations_and_name_the_newest_date() -> None:
    contents: dict[str, Any] = {
        "a": {"date": "2026-02-03", "operations": ["GET jobs", "PUT jobs/{job}", "GET no-longer-there"]},
        "b": {"date": "2026-01-01", "operations": ["GET jobs"]},
    }
    total = len({one.title for one in emulated_operations.operations()})

    assert (
        emulated_operations.verified_sentence(contents)
        == f"**2 of {total} operations verified on Azure on 2026-02-03**."
    )
    assert emulated_operations.verified_sentence({}).startswith(f"**0 of {total} operations verified on Azure**: ")
    assert emulated_operations.verified_dates(contents)["GET jobs"] == "2026-02-03"


def test_a_request_is_counted_for_its_operation() -> None:
    workspace = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"

    assert emulated_operations.operation_named("PUT", f"{workspace}/jobs/a") == "PUT jobs/{job}"
    assert emulated_operations.operation_named("GET", f"{workspace}/schedules/a") is None


def test_nothing_is_verified_that_no_test_has_sent() -> None:
    known = {one.title for one in emulated_operations.operations()}
    contents = json.loads(verified.FILE.read_text(encoding="utf-8"))

    for test in contents.values():
        assert set(test["operations"]) <= known


def test_the_weekly_workflow_does_nothing_without_the_variables_and_has_no_stored_secret() -> None:
    file = emulated_operations.ROOT / ".github" / "workflows" / "live.yml"
    text = file.read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text)["jobs"].values()

    for name in ("LIVE_WORKSPACE", "LIVE_CLIENT_ID", "LIVE_TENANT_ID"):
        assert f"vars.{name} != ''" in job["if"]
    assert "||" not in job["if"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "secrets." not in text
    assert job["steps"][-1]["if"] == "always()"
    assert "make live-clean" in job["steps"][-1]["run"]
