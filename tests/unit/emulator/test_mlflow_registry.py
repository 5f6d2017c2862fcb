"""MLflow's registry of models on a workspace's own models, without a server and without MLflow."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from zenml_azureml.emulator.services.aml.models import Models
from zenml_azureml.emulator.services.mlflow.model_filters import FilterError, matches, page
from zenml_azureml.emulator.services.mlflow.model_sources import asset_uri, download_uri
from zenml_azureml.emulator.services.mlflow.registry import ModelRegistry, NotServedError, RegistryError
from zenml_azureml.emulator.state import Workspace

NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)
URI = "azureml://127.0.0.1:443/mlflow/v2.0/subscriptions/s/resourceGroups/g/providers/p/workspaces/w"
OF_RUN = f"{URI}/experiments/first/runs/job-1/artifacts/model"


@pytest.fixture
def registry() -> ModelRegistry:
    return ModelRegistry(
        Workspace("sub", "group", "ws", "westeurope", NOW), URI, lambda: NOW, "me", lambda uri: "nothing" not in uri
    )


def made(registry: ModelRegistry, source: str = OF_RUN, **more: Any) -> dict[str, Any]:
    if "tree" not in registry.workspace.assets_of("models"):
        registry.answer("POST", "registered-models/create", {"name": "tree"})
    sent = {"name": "tree", "source": source, **more}
    found: dict[str, Any] = registry.answer("POST", "model-versions/create", sent)["model_version"]
    return found


def test_a_model_of_a_run_is_a_model_of_the_workspace(registry: ModelRegistry) -> None:
    found = made(registry, run_id="job-1", tags=[{"key": "a", "value": "b"}])

    assert (found["version"], found["status"], found["run_id"], found["current_stage"]) == (
        "1",
        "READY",
        "job-1",
        "None",
    )
    asset = registry.workspace.assets_of("models")["tree"].versions["1"].properties
    assert asset["modelUri"].endswith("/datastores/workspaceartifactstore/paths/ExperimentRun/dcid.job-1/model")
    assert (asset["modelType"], asset["jobName"], asset["tags"]) == ("mlflow_model", "job-1", {"a": "b"})
    where = registry.answer("GET", "model-versions/get-download-uri", {"name": "tree", "version": "1"})
    assert where == {"artifact_uri": f"{URI}/experiments/models/runs/job-1/artifacts/model"}
    assert made(registry)["version"] == "2"


def test_a_model_that_a_client_has_uploaded_is_downloaded_from_where_it_was_put(registry: ModelRegistry) -> None:
    source = "azureml://artifacts/LocalUpload/261130T220000-a1b2c3d4/tree"

    found = made(registry, source)

    assert (found["source"], found["run_id"]) == (source, "")
    asset = registry.workspace.assets_of("models")["tree"].versions["1"].properties
    assert asset["modelUri"].endswith("/workspaceartifactstore/paths/LocalUpload/261130T220000-a1b2c3d4/tree")
    where = registry.answer("GET", "model-versions/get-download-uri", {"name": "tree", "version": "1"})
    assert where == {"artifact_uri": source}


def test_a_model_of_the_workspace_is_in_the_registry(registry: ModelRegistry) -> None:
    kind = Models()
    path = "azureml://datastores/workspaceblobstore/paths/models/mine"
    for name, version, sent in (
        ("mine", "7", {"modelUri": path, "stage": "Production"}),
        ("old", "1", {"modelUri": path, "isArchived": True}),
    ):
        kind.put(registry.workspace, name, version, kind.complete(sent, registry.workspace, name, version), NOW)

    found = registry.answer("GET", "registered-models/get", {"name": "mine"})["registered_model"]

    assert [(one["version"], one["current_stage"]) for one in found["latest_versions"]] == [("7", "Production")]
    assert registry.answer("GET", "model-versions/search", {"filter": "name = 'old'"}) == {"model_versions": []}
    with pytest.raises(NotServedError, match="no run has logged"):
        registry.answer("GET", "model-versions/get-download-uri", {"name": "mine", "version": "7"})


def test_tags_descriptions_and_stages_change(registry: ModelRegistry) -> None:
    made(registry)
    made(registry)
    one, two = ({"name": "tree", "version": version} for version in "12")
    registry.answer("POST", "model-versions/set-tag", {**one, "key": "k", "value": "v"})
    registry.answer("PATCH", "model-versions/update", {**one, "description": "first"})
    registry.answer("POST", "model-versions/transition-stage", {**one, "stage": "Production"})
    registry.answer(
        "POST", "model-versions/transition-stage", {**two, "stage": "Production", "archive_existing_versions": True}
    )
    registry.answer("POST", "registered-models/set-tag", {"name": "tree", "key": "of", "value": "all"})

    first = registry.answer("GET", "model-versions/get", one)["model_version"]

    assert (first["description"], first["tags"]) == ("first", [{"key": "k", "value": "v"}])
    assert first["current_stage"] == "Archived"
    latest = registry.answer(
        "POST", "registered-models/get-latest-versions", {"name": "tree", "stages": ["Production"]}
    )
    assert [one["version"] for one in latest["model_versions"]] == ["2"]
    registry.answer("DELETE", "model-versions/delete-tag", {**one, "key": "k"})
    assert registry.workspace.assets_of("models")["tree"].versions["1"].properties["tags"] == {}
    assert registry.workspace.assets_of("models")["tree"].tags == {"of": "all"}


def test_what_is_deleted_is_gone(registry: ModelRegistry) -> None:
    made(registry)
    registry.answer("DELETE", "model-versions/delete", {"name": "tree", "version": "1"})

    with pytest.raises(RegistryError, match=r"version=1\) not found") as refused:
        registry.answer("GET", "model-versions/get", {"name": "tree", "version": "1"})

    assert (refused.value.status, refused.value.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    registry.answer("DELETE", "registered-models/delete", {"name": "tree"})
    assert registry.answer("GET", "registered-models/search", {}) == {"registered_models": []}


def test_a_name_is_taken_once_and_has_to_be_one_of_a_model(registry: ModelRegistry) -> None:
    made(registry)

    for name, code in (("tree", "RESOURCE_ALREADY_EXISTS"), ("a/b", "INVALID_PARAMETER_VALUE")):
        with pytest.raises(RegistryError) as refused:
            registry.answer("POST", "registered-models/create", {"name": name})
        assert refused.value.code == code


@pytest.mark.parametrize("operation", ["registered-models/alias", "registered-models/rename"])
def test_other_operations_are_named_as_not_served(registry: ModelRegistry, operation: str) -> None:
    with pytest.raises(NotServedError, match=operation):
        registry.answer("POST", operation, {"name": "tree"})


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (OF_RUN, "ExperimentRun/dcid.job-1/model"),
        (f"{URI}/experiments/first/runs/job-1/artifacts", "ExperimentRun/dcid.job-1"),
        (f"models:/m-{'0' * 32}", f"ExperimentRun/dcid.m-{'0' * 32}"),
        ("runs:/job-1/a/b", "ExperimentRun/dcid.job-1/a/b"),
    ],
)
def test_the_source_of_a_model_has_a_place_and_is_downloaded_from_there(source: str, path: str) -> None:
    uri = asset_uri(source, {})

    assert uri == f"azureml://datastores/workspaceartifactstore/paths/{path}"
    run, _, below = path.removeprefix("ExperimentRun/dcid.").partition("/")
    end = f"runs/{run}/artifacts/{below}".rstrip("/")
    assert (download_uri(uri, URI, lambda run: "models") or "").endswith(end)


@pytest.mark.parametrize("source", ["/tmp/model", "s3://bucket/model", "models:/other/1", ""])
def test_other_sources_have_none(source: str) -> None:
    assert asset_uri(source, {}) is None


def test_a_logged_model_among_the_artifacts_of_a_job_is_found_there() -> None:
    uri = asset_uri(f"models:/m-{'a' * 32}", {f"m-{'a' * 32}": ("job-1", "net")})

    assert uri == "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.job-1/net"


def test_a_model_without_files_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(RegistryError, match="No blobs found in storage") as refused:
        made(registry, "runs:/job-1/nothing")

    assert (refused.value.status, refused.value.code) == (400, "INVALID_PARAMETER_VALUE")
    assert registry.workspace.assets_of("models")["tree"].latest is None


VERSION = {"name": "tree", "version": "3", "run_id": "r", "tags": [{"key": "a b", "value": "x"}]}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("name = 'tree'", True),
        ("name='tree' and run_id=\"r\"", True),
        ("name != 'tree'", False),
        ("name LIKE 'T%'", False),
        ("name ILIKE 'T%' AND tags.`a b` = 'x'", True),
        ("name like 'tr_'", False),
        ("version_number = 3", True),
        ("tags.none = 'x'", False),
        ("name LIKE 'tr%' AND tags.`mlflow.prompt.is_prompt` != 'true'", True),
    ],
)
def test_filters(text: str, fits: bool) -> None:
    assert matches(VERSION, text) is fits


@pytest.mark.parametrize("text", ["name", "name = tree", "name = 'a' or name = 'b'", "name = 'a' and", "owner = 'x'"])
def test_a_filter_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="Invalid filter string"):
        matches(VERSION, text)


def test_pages_have_each_item_once_in_the_order_that_is_requested() -> None:
    found = [{"version": str(number)} for number in (9, 10, 1)]
    sent: dict[str, Any] = {"max_results": "2", "order_by": "version_number DESC"}

    first = page("all", found, sent)
    second = page("all", found, {**sent, "page_token": first["next_page_token"]})

    assert [one["version"] for one in first["all"] + second["all"]] == ["10", "9", "1"]
    assert "next_page_token" not in second
    with pytest.raises(FilterError, match="order_by"):
        page("all", found, {"order_by": ["owner"]})
    with pytest.raises(FilterError, match="page"):
        page("all", found, {"page_token": "x"})
