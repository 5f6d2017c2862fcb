"""The settings `inputs` and `outputs`: their forms, and what is refused before a run starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml import AzureMLSettingsError, AzureMLStepOperatorSettings
from zenml_azureml.azure.jobs.submitter import build_command_job
from zenml_azureml.lifecycle.lineage import inputs_as_metadata
from zenml_azureml.lifecycle.step_data import StepData
from zenml_azureml.settings.data import cache_text
from zenml_azureml.settings.merge import merge
from zenml_azureml.settings.plan import resolve
from zenml_azureml.settings.step_plan import plan_of
from zenml_azureml.specs.data import (
    AssetReference,
    DataInput,
    DataOutput,
    asset_reference,
    datastore_of,
    without_query,
)
from zenml_azureml.specs.job import JobSpec
from zenml_azureml.submission.secret_references import with_secrets

STORE = "azureml://datastores/workspaceblobstore/paths/data/"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


def options_of(**settings: Any) -> Any:
    return resolve(AzureMLStepOperatorSettings(**settings)).options


def test_a_text_is_the_path_of_an_input() -> None:
    assert options_of(inputs={"train": "azureml:images:3"}).inputs == (DataInput("train", "azureml:images:3"),)


@pytest.mark.parametrize(
    "path",
    [
        "azureml:images:3",
        "azureml:images@latest",
        f"{WORKSPACE}/data/images/versions/3",
        f"azureml:{WORKSPACE}/data/images/versions/3",
        STORE,
        f"azureml:/{WORKSPACE.replace('/providers/Microsoft.MachineLearningServices', '')}/datastores/d/paths/a.csv",
        "azureml://registries/shared/data/images/versions/3",
        "azureml://jobs/job/outputs/model/paths/a",
        "https://account.blob.core.windows.net/container/a.csv",
        "wasbs://container@account.blob.core.windows.net/a",
        "abfss://container@account.dfs.core.windows.net/a",
        "{{data.path}}",
    ],
)
@pytest.mark.parametrize("mode", [None, "ro_mount", "download", "direct"])
def test_each_form_of_a_path_and_each_mode_reaches_the_job(path: str, mode: str | None) -> None:
    options = options_of(inputs={"a": {"path": path, "type": "uri_file", "mode": mode}})
    job = build_command_job(
        JobSpec("n", "n", "e", "image", "true", environment_variables={}, tags={}, own_tag="", options=options), None
    )

    assert options.inputs == (DataInput("a", path, "uri_file", mode),)
    assert job.inputs["a"].path == path.replace("azureml:/subscriptions", "/subscriptions")
    assert (job.inputs["a"].type, job.inputs["a"].mode) == ("uri_file", mode)


def test_outputs_have_the_sdks_defaults() -> None:
    options = options_of(
        outputs={
            "model": {"register_as": "my-model-files"},
            "report": {"type": "URI_FILE", "path": STORE, "mode": "Upload"},
            "more": {"mode": "mount"},
            "plain": None,
        }
    )

    assert options.outputs == (
        DataOutput("model", register_as="my-model-files"),
        DataOutput("report", "uri_file", STORE, "upload"),
        DataOutput("more", mode="rw_mount"),
        DataOutput("plain"),
    )


def test_mount_is_the_sdks_other_word_for_a_read_only_mount() -> None:
    assert options_of(inputs={"a": {"path": STORE, "mode": "mount"}}).inputs[0].mode == "ro_mount"


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "no version": ({"inputs": {"a": "azureml:images"}}, r"no version.*`azureml:images:1`.*`azureml:images@latest`"),
    "empty version": ({"inputs": {"a": "azureml:images:"}}, r"no version.*`azureml:images:1`"),
    "no prefix": ({"inputs": {"a": "images:3"}}, "Write `azureml:images:3`"),
    "local": ({"inputs": {"a": "./data"}}, "not data on Azure.*azureml:images:3"),
    "label in a registry": (
        {"inputs": {"a": "azureml://registries/shared/data/images/labels/latest"}},
        "`azureml:NAME@latest` only.*versions/3",
    ),
    "label in an ARM id": (
        {"inputs": {"a": "azureml:/subscriptions/s/resourceGroups/r/providers/p/workspaces/w/data/x/labels/latest"}},
        "`azureml:NAME@latest` only.*versions/3",
    ),
    "other label": ({"inputs": {"a": "azureml:images@prod"}}, "`latest` only, not `prod`.*`azureml:images@latest`"),
    "no path": ({"inputs": {"a": {"type": "uri_file"}}}, r"`inputs\['a'\]` has no `path`"),
    "unknown key": ({"inputs": {"a": {"path": STORE, "mod": "download"}}}, "no `mod` in.*Did you mean `mode`"),
    "type": ({"inputs": {"a": {"path": STORE, "type": "folder"}}}, "inputs.a.type=.folder"),
    "mode": ({"inputs": {"a": {"path": STORE, "mode": "upload"}}}, "inputs.a.mode=.upload"),
    "number": ({"inputs": {"a": 3}}, r"`inputs.a=3`"),
    "list": ({"inputs": ["a"]}, "`inputs`"),
    "input name": ({"inputs": {"my data": STORE}}, "letters, digits and underscores"),
    "same names": ({"inputs": {"train": STORE, "Train": STORE}}, "upper and lower case"),
    "output name": ({"outputs": {"1": {}}}, "not begin with a digit"),
    "reserved": ({"outputs": {"Checkpoints": {}}}, "the setting `checkpoints` uses it"),
    "default": ({"outputs": {"default": {}}}, "every job has an output of that name"),
    "output path": ({"outputs": {"a": {"path": "https://example.com/a"}}}, "cannot write.*azureml://datastores"),
    "asset": ({"outputs": {"a": {"register_as": "my:3"}}}, "not the name of a data asset"),
    "output key": ({"outputs": {"a": {"registeras": "b"}}}, "Did you mean `register_as`"),
    "output mode": ({"outputs": {"a": {"mode": "download"}}}, "outputs.a.mode=.download"),
    "fallback": ({"fallback": [{"inputs": {"a": STORE}}]}, "the same for all targets"),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_a_job_cannot_have_is_refused_with_what_to_write(case: str) -> None:
    settings, message = INVALID[case]

    with pytest.raises(AzureMLSettingsError, match=rf"(?s){message}"):
        AzureMLStepOperatorSettings(**settings)


def test_they_are_stored_and_merged_as_they_are_and_the_same_for_all_targets() -> None:
    settings = AzureMLStepOperatorSettings(
        inputs={"train": "azureml:images:3"},
        outputs={"model": {"register_as": "files"}},
        fallback=[{"job_tier": "standard"}, {"mode": "compute-cluster", "compute_name": "gpus"}],
    )
    merged = merge({}, AzureMLStepOperatorSettings.model_validate_json(settings.model_dump_json()).model_dump())

    of_targets = [target.resolution.options for target in plan_of(merged).targets]
    assert [options.inputs for options in of_targets] == [(DataInput("train", "azureml:images:3"),)] * 3
    assert [options.outputs for options in of_targets] == [(DataOutput("model", register_as="files"),)] * 3
    assert not list(plan_of(merged).warnings())


def test_an_address_with_a_secret_is_in_no_repr() -> None:
    settings = AzureMLStepOperatorSettings(inputs={"a": f"https://x.blob.core.windows.net/c/a?sig={'A1b2' * 12}"})

    assert "A1b2A1b2" not in repr(resolve(settings).options) + repr(settings)


NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", fullmatch=True)


@given(NAMES, NAMES)
def test_every_name_and_version_of_an_asset_is_found_in_its_reference(name: str, version: str) -> None:
    assert asset_reference(f"azureml:{name}:{version}") == AssetReference(name, version)
    assert asset_reference(f"azureml:{name}@latest") == AssetReference(name, label="latest")
    by_id = asset_reference(f"azureml:{WORKSPACE}/data/{name}/versions/{version}")
    assert by_id == AssetReference(name, version, workspace=WORKSPACE)
    store = f"azureml://datastores/{name}/paths/{version}"
    assert (asset_reference(store), datastore_of(store)) == (None, ("", name))


def test_a_path_from_a_secret_reaches_the_job_and_no_metadata() -> None:
    address = "https://account.blob.core.windows.net/c/a.csv?sig=of-a-secret"
    settings = AzureMLStepOperatorSettings(inputs={"a": {"path": "{{data.path}}", "type": "uri_file"}})
    requested = resolve(settings)

    options = with_secrets(requested, lambda _name: {"path": address}).options

    assert options.inputs == (DataInput("a", address, "uri_file"),)
    assert inputs_as_metadata(requested.options.inputs, options.inputs, {}, "") == {
        "azureml_inputs": {"a": {"path": "{{data.path}}", "type": "uri_file"}}
    }


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:password@host/a?sig=s#f", "https://host/a"),
        (
            "wasbs://container@account.blob.core.windows.net/a?sig=s",
            "wasbs://container@account.blob.core.windows.net/a",
        ),
        (STORE, STORE),
        ("azureml:images:3", "azureml:images:3"),
        ("azureml:images@latest", "azureml:images@latest"),
    ],
)
def test_signatures_and_passwords_are_not_shown(uri: str, shown: str) -> None:
    assert without_query(uri) == shown


def test_the_text_for_the_cache_changes_with_the_data_and_not_with_a_signature() -> None:
    def text(**settings: Any) -> str:
        own = AzureMLStepOperatorSettings(**settings)
        return cache_text(own.inputs, own.outputs)

    address = "https://account.blob.core.windows.net/c/a.csv"
    assert text(inputs={"a": f"{address}?sig=1"}) == text(inputs={"a": f"{address}?sig=2"})
    different = [
        text(inputs={"a": "azureml:images:1"}),
        text(inputs={"a": "azureml:images:2"}),
        text(inputs={"b": "azureml:images:1"}),
        text(inputs={"a": {"path": "azureml:images:1", "type": "uri_file"}}),
        text(inputs={"a": "azureml:images:1"}, outputs={"m": {}}),
        text(inputs={"a": "azureml:images:1"}, outputs={"m": {"register_as": "x"}}),
    ]
    assert len(set(different)) == len(different)


def test_the_assets_of_the_run_that_was_used_last_are_kept() -> None:
    data, runs = StepData(uuid4()), [uuid4() for _ in range(65)]
    workspace: Any = SimpleNamespace(address=SimpleNamespace(path="/workspaces/w"))
    first = data._of_run(runs[0], workspace)
    for run in runs[1:64]:
        data._of_run(run, workspace)

    assert data._of_run(runs[0], workspace) is first
    data._of_run(runs[64], workspace)

    assert [run for run, _ in data._found] == [*runs[2:64], runs[0], runs[64]]
