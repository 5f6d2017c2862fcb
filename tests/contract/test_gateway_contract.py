"""What Azure Resource Manager answers itself: workspaces, missing things, paths that nobody serves."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError

from tests.contract.arm import Arm, recorded, shape

#: Headers that only Azure ML itself sends.
AZURE_ML_HEADERS = ("x-ms-response-type", "x-request-time", "azureml-served-by-cluster", "Request-Context")


def test_the_list_of_workspaces_is_compact_and_as_recorded(arm: Arm) -> None:
    exchange = recorded("workspace_list_2026")
    subscription = arm.emulator.context.store.workspaces[0].subscription_id

    answer = arm.call("GET", f"/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/workspaces")

    assert answer.status == 200
    assert shape(answer.body) == shape(exchange["response_body"])
    assert answer.text.startswith('{"value":[{"id":"/subscriptions/')
    assert not [name for name in AZURE_ML_HEADERS if name in answer.headers]


def test_a_workspace_says_where_run_history_is(arm: Arm, ml_client: MLClient) -> None:
    (theirs,) = recorded("workspace_list_2026")["response_body"]["value"]

    answer = arm.call("GET", arm.workspace)

    assert shape(answer.body) == shape(theirs)
    assert answer.text.startswith('{\n  "id": ')
    assert all(name in answer.headers for name in AZURE_ML_HEADERS)
    workspace = ml_client.workspaces.get(answer.body["name"])
    assert workspace.discovery_url == f"{arm.emulator.base_url}/discovery"


@pytest.mark.parametrize(
    ("replaced", "code"),
    [
        (("workspaces/emulator", "workspaces/nowhere"), "ResourceNotFound"),
        (("resourceGroups/emulator", "resourceGroups/nowhere"), "ResourceGroupNotFound"),
        (("subscriptions/0", "subscriptions/1"), "SubscriptionNotFound"),
    ],
)
def test_a_missing_workspace_is_the_gateways_404(arm: Arm, replaced: tuple[str, str], code: str) -> None:
    answer = arm.call("GET", f"{arm.workspace}/jobs".replace(*replaced))

    assert (answer.status, answer.body["error"]["code"]) == (404, code)
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    assert not [name for name in AZURE_ML_HEADERS if name in answer.headers]


@pytest.mark.azure_verified
def test_the_sdk_tells_a_missing_workspace(ml_client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match=r"\(ResourceNotFound\) The Resource .* was not found"):
        ml_client.workspaces.get("nowhere")


def test_fixed_words_of_a_path_match_in_any_case(arm: Arm) -> None:
    path = f"{arm.workspace}/jobs".replace("resourceGroups", "RESOURCEGROUPS")
    path = path.replace("Microsoft.MachineLearningServices", "microsoft.machinelearningservices")

    assert arm.call("GET", path).status == 200
    assert arm.call("GET", path.replace("workspaces/emulator/jobs", "Workspaces/EMULATOR/Jobs")).status == 200


@pytest.mark.azure_verified
@pytest.mark.parametrize(
    ("api_version", "code"),
    [(None, "MissingApiVersionParameter"), ("tomorrow", "InvalidApiVersionParameter")],
)
def test_every_request_needs_an_api_version(arm: Arm, api_version: str | None, code: str) -> None:
    answer = arm.call("GET", "jobs", api_version=api_version)

    assert (answer.status, answer.body["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "schedules/nightly", "Microsoft.MachineLearningServices/workspaces/schedules"),
        ("DELETE", "jobs", "DELETE Microsoft.MachineLearningServices/workspaces/jobs"),
        ("GET", "/somewhere/else", "GET /somewhere/else"),
        ("GET", "/mlflow/v2.0/experiments", "GET /mlflow/v2.0/experiments"),
    ],
)
def test_what_is_not_emulated_has_one_answer_that_is_none_of_azures(
    arm: Arm, method: str, path: str, operation: str
) -> None:
    answer = arm.call(method, path)

    assert (answer.status, answer.body["error"]["code"]) == (501, "NotEmulated")
    assert f"{operation} is not emulated." in answer.body["error"]["message"]
    assert "docs/emulator.md" in answer.body["error"]["message"]


@pytest.mark.parametrize("kind", ["Sweep", "AutoML", "Spark"])
def test_jobs_of_other_types_are_not_emulated(arm: Arm, kind: str) -> None:
    # With a member that command jobs do not have.
    answer = arm.call("PUT", "jobs/other", {"properties": {"jobType": kind, "trial": {}}})

    assert (answer.status, answer.body["error"]["code"]) == (501, "NotEmulated")


def test_the_emulators_own_paths_are_not_azures(arm: Arm) -> None:
    assert arm.call("GET", "/_emulator/nothing").status == 404


@pytest.mark.parametrize("body", ["text", [], None])
def test_a_body_that_is_no_object_is_refused(arm: Arm, body: object) -> None:
    answer = arm.call("PUT", "jobs/any", body)

    assert (answer.status, answer.body["error"]["code"]) == (400, "InvalidRequestContent")


def test_no_answer_names_the_web_server(arm: Arm) -> None:
    for path in ("jobs", "/discovery", "/somewhere"):
        assert "aiohttp" not in str(arm.call("GET", path).headers)
