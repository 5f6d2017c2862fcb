"""The emulator's environments against recorded answers, and through the real SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Environment
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.contract.arm import Arm, recorded, shape
from zenml_azureml.emulator.services.aml.curated import LISTED

CONDA = {"name": "ours", "channels": ["conda-forge"], "dependencies": ["python=3.11"]}


def test_an_environment_with_conda_is_answered_as_recorded(masked: Arm) -> None:
    exchange = recorded("environment_put_conda_201")

    answer = masked.call("PUT", exchange["path"], exchange["request_body"])

    theirs = exchange["response_body"]
    assert answer.status == 201
    assert answer.headers["Location"] == masked.emulator.base_url + exchange["path"]
    assert {**answer.body, "systemData": None} == {**theirs, "systemData": None}
    assert shape(answer.body["systemData"]) == shape(theirs["systemData"])


def test_a_missing_environment_is_answered_as_recorded(masked: Arm) -> None:
    exchange = recorded("environment_get_container_404")

    answer = masked.call("GET", exchange["path"])

    theirs = exchange["response_body"]
    assert answer.status == 404
    assert answer.headers["x-ms-response-type"] == "error"
    assert answer.body["error"]["message"] == theirs["error"]["message"]
    assert answer.body["error"]["code"] == theirs["error"]["code"] == "UserError"
    kinds = [item["type"] for item in theirs["error"]["additionalInfo"]]
    assert [item["type"] for item in answer.body["error"]["additionalInfo"]] == kinds
    assert answer.body["error"]["additionalInfo"][-1] == theirs["error"]["additionalInfo"][-1]


def test_the_newest_version_is_listed_first_and_top_hides_the_rest(masked: Arm) -> None:
    exchange = recorded("environment_versions_list_latest")
    (theirs,) = exchange["response_body"]["value"]
    folder = exchange["path"].partition("?")[0]
    sent = {key: theirs["properties"][key] for key in ("description", "image", "condaFile")}
    for version in ("foo", "bar"):
        masked.call("PUT", f"{folder}/{version}", {"properties": sent})

    newest = f"{folder}?$orderBy=createdtime%20desc&$top=1"
    answer = masked.call("GET", newest, api_version=exchange["api_version"])

    assert set(answer.body) == {"value"}
    assert [{**version, "systemData": None} for version in answer.body["value"]] == [{**theirs, "systemData": None}]


@pytest.mark.azure_verified(environments=1)
def test_a_version_can_be_put_again_but_not_with_another_image(arm: Arm) -> None:
    version = f"environments/{arm.name('ours')}/versions/1"

    def put(**properties: Any) -> int:
        return arm.call("PUT", version, {"properties": properties}).status

    assert put(image="image:1") == 201
    assert put(image="image:1", description="better") == 201
    assert put(image="image:2") == 409
    assert arm.call("GET", version).body["properties"]["image"] == "image:1"


@pytest.mark.parametrize("name", ["AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "azureml-mine"])
def test_a_name_of_microsofts_is_refused(arm: Arm, name: str) -> None:
    refused = arm.call("PUT", f"environments/{name}/versions/1", {"properties": {"image": "image:1"}})

    assert refused.status == 400
    assert refused.body["error"]["message"].startswith("Environment name can not start with the prefix AzureML.")


@pytest.mark.parametrize(
    ("name", "version"), [(LISTED[0].name, "10"), ("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "1")]
)
def test_an_environment_of_microsofts_is_found_by_version_and_label(
    arm: Arm, ml_client: MLClient, name: str, version: str
) -> None:
    assert ml_client.environments.get(name, label="latest").version == version
    assert ml_client.environments.get(name, version=version).name == name
    assert [found.version for found in ml_client.environments.list(name)] == [version]
    assert arm.call("GET", f"environments/{name}").body["properties"]["latestVersion"] == version
    assert arm.call("DELETE", f"environments/{name}/versions/{version}").status == 404
    with pytest.raises(ResourceNotFoundError):
        ml_client.environments.get(name, version="99")


@pytest.mark.azure_verified(environments=1)
def test_a_conda_file_that_is_no_yaml_is_refused(arm: Arm) -> None:
    refused = arm.call("PUT", f"environments/{arm.name('conda')}/versions/1", {"properties": {"condaFile": "a: [b"}})

    assert (refused.status, refused.body["error"]["message"]) == (400, "The conda file is not valid YAML.")


def test_a_build_context_is_kept_and_needs_no_image(arm: Arm) -> None:
    build = {"contextUri": "https://example.org/context", "dockerfilePath": "Dockerfile"}

    made = arm.call("PUT", "environments/built/versions/1", {"properties": {"build": build}}).body["properties"]

    assert made["build"] == build
    assert "image" not in made


# The real SDK


def test_the_sdk_makes_and_finds_environments(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="ours", version="1", image="image:1"))
    ml_client.environments.create_or_update(
        Environment(name="ours", version="2", image="image:2", conda_file=CONDA, tags={"a": "b"})
    )

    latest = ml_client.environments.get("ours", label="latest")
    assert (latest.version, latest.image, latest.conda_file, latest.tags) == ("2", "image:2", CONDA, {"a": "b"})
    assert [found.version for found in ml_client.environments.list("ours")] == ["2", "1"]
    assert [found.name for found in ml_client.environments.list()] == ["ours", LISTED[0].name]


def test_the_sdk_gives_an_environment_without_version_one_of_its_own(ml_client: MLClient) -> None:
    first = ml_client.environments.create_or_update(Environment(name="ours", image="image:1"))
    second = ml_client.environments.create_or_update(Environment(name="ours", image="image:2"))

    assert first.version == "1"
    assert second.version not in {None, "1"}


def test_the_sdk_archives_an_environment_with_all_its_versions_and_restores_it(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="ours", version="1", image="image:1"))

    ml_client.environments.archive("ours")
    archived = {found.name for found in ml_client.environments.list()}
    ml_client.environments.restore("ours")

    assert "ours" not in archived
    assert "ours" in {found.name for found in ml_client.environments.list()}


@pytest.mark.azure_verified(environments=1)
def test_a_deleted_version_is_gone_and_its_environment_stays(arm: Arm) -> None:
    environment = f"environments/{arm.name('gone')}"
    arm.call("PUT", f"{environment}/versions/1", {"properties": {"image": "image:1"}})

    assert (arm.call("DELETE", f"{environment}/versions/1").status) == 200

    assert arm.call("GET", f"{environment}/versions/1").status == 404
    assert arm.call("GET", environment).body["properties"]["latestVersion"] is None


@pytest.mark.azure_verified(environments=2)
@pytest.mark.parametrize(
    ("versions", "following"),
    # Source: environments_list_2026.json: after 2 comes 3, after a word 1.
    [
        *((["1"], "2"), (["1", "2"], "3"), (["bar"], "1"), (["7", "bar"], "1"), (["bar", "9"], "10"), (["1.0"], "1")),
        (["1", "2", "bar"], "3"),  # Guess: a version that exists is not the next one.
    ],
)
def test_the_next_version_counts_on_from_the_latest(arm: Arm, versions: list[str], following: str) -> None:
    environment = f"environments/{arm.name('count-' + '-'.join(versions).replace('.', '-'))}"
    for version in versions:
        arm.call("PUT", f"{environment}/versions/{version}", {"properties": {"image": "image:1"}})

    assert arm.call("GET", environment).body["properties"]["nextVersion"] == following


def test_the_sdk_archives_an_environment_version(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="ours", version="1", image="image:1"))

    ml_client.environments.archive("ours", version="1")

    assert list(ml_client.environments.list("ours")) == []


@pytest.mark.azure_verified
def test_the_sdk_tells_a_missing_environment(ml_client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="No environment exists for name: nobody"):
        ml_client.environments.get("nobody", version="1")
    with pytest.raises(HttpResponseError):
        list(ml_client.environments.list("nobody"))
