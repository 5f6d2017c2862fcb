"""Components and environments with a build context, as the unmodified SDK uses them."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import Input, MLClient, Output, command, load_component
from azure.ai.ml.entities import BuildContext, CommandComponent, Environment
from azure.core.exceptions import ResourceNotFoundError

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.aml.asset_paths import find_place

_VERSION = "2024-01-01-preview"

YAML = """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: from_yaml
version: "7"
type: command
code: ./source
environment: azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:33
inputs:
  rate: {type: number, default: 1.5, optional: true}
  data: {type: uri_folder}
command: python train.py --data ${{inputs.data}} $[[--rate ${{inputs.rate}}]]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)")
    return folder


def component(source: Path, name: str = "ours", version: str = "1") -> CommandComponent:
    node = command(
        name=name,
        version=version,
        code=str(source),
        command="python train.py --n ${{inputs.n}} --data ${{inputs.data}} --out ${{outputs.out}}",
        environment=Environment(image="image:1"),
        inputs={"n": Input(type="integer", default=3), "data": Input(type="uri_folder")},
        outputs={"out": Output(type="uri_folder")},
    )
    found = node.component
    assert isinstance(found, CommandComponent)
    return found


def test_a_component_is_created_read_and_listed(ml_client: MLClient, emulator: Emulator, source: Path) -> None:
    ml_client.components.create_or_update(component(source))
    ml_client.components.create_or_update(component(source, version="2"))

    found = ml_client.components.get("ours")
    assert found.version == "2"
    assert isinstance(found, CommandComponent)
    assert (found.inputs["n"]["default"], found.inputs["data"]["type"]) == (3, "uri_folder")
    workspace = emulator.context.store.workspaces[0]
    assert [name for name, _ in find_place(emulator.context.folder, workspace, str(found.code)).files()] == ["train.py"]
    assert [each.version for each in ml_client.components.list("ours")] == ["2", "1"]
    assert [each.name for each in ml_client.components.list()] == ["ours"]
    with pytest.raises(ResourceNotFoundError):
        ml_client.components.get("none", "1")


def test_a_component_is_loaded_from_yaml_and_downloaded(ml_client: MLClient, source: Path, tmp_path: Path) -> None:
    (tmp_path / "component.yml").write_text(YAML)

    ml_client.components.create_or_update(load_component(tmp_path / "component.yml"))

    ml_client.components.download("from_yaml", tmp_path / "back", version="7")
    assert (tmp_path / "back" / "code" / "train.py").read_text() == "print(1)"
    spec = (tmp_path / "back" / "component_spec.yaml").read_text()
    assert "azureml://registries/azureml/environments/AzureML-sklearn-1.0-ubuntu20.04-py38-cpu/versions/33" in spec


def test_what_is_downloaded_is_created_again(ml_client: MLClient, source: Path, tmp_path: Path) -> None:
    created = ml_client.components.create_or_update(component(source))
    ml_client.components.download("ours", download_path=tmp_path / "downloaded", version="1")

    again = load_component(tmp_path / "downloaded" / "component_spec.yaml", params_override=[{"name": "again"}])

    # Its environment, which names the system in other letters, is the same.
    assert ml_client.components.create_or_update(again).environment == created.environment


def test_a_component_that_is_not_registered_keeps_its_own_name(ml_client: MLClient, source: Path) -> None:
    sent = component(source, version="0.0.1")

    found = ml_client.components.create_or_update(sent, is_anonymous=True)

    assert found.id.split("/")[-3] == "azureml_anonymous"
    again = ml_client.components.get("azureml_anonymous", found.id.split("/")[-1])
    assert [(one.name, one.version) for one in (found, again)] == [("ours", "0.0.1")] * 2
    # Another one that differs in its name alone has the same id.
    assert ml_client.components.create_or_update(component(source, "other"), is_anonymous=True).id == found.id


def test_a_component_is_archived_and_restored(ml_client: MLClient, source: Path) -> None:
    ml_client.components.create_or_update(component(source))
    ml_client.components.create_or_update(component(source, version="2"))

    ml_client.components.archive("ours", version="1")
    assert [each.version for each in ml_client.components.list("ours")] == ["2"]
    ml_client.components.restore("ours", version="1")
    ml_client.components.archive("ours")
    assert list(ml_client.components.list()) == []
    ml_client.components.restore("ours")
    assert [each.name for each in ml_client.components.list()] == ["ours"]


def test_a_component_is_answered_as_recorded(arm: Arm) -> None:
    """Recorded: test_component_archive_restore_version of 2026-03-27 (Azure/azure-sdk-assets)."""
    sent = {
        "description": "This is the basic command component",
        "tags": {"owner": "sdkteam"},
        "properties": {"client_component_hash": "hash"},
        "isAnonymous": False,
        "isArchived": False,
        "componentSpec": {
            "command": "echo Hello World",
            "environment": "azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu:33",
            "name": "test",
            "description": "This is the basic command component",
            "tags": {"owner": "sdkteam"},
            "version": "1",
            "$schema": "https://azuremlschemas.azureedge.net/development/commandComponent.schema.json",
            "display_name": "CommandComponentBasic",
            "is_deterministic": True,
            "inputs": {
                "number": {"type": "number", "optional": True, "default": "10.99", "description": "A number"},
                "path": {"type": "uri_folder", "description": "A path"},
            },
            "outputs": {"out": {"type": "uri_folder"}},
            "type": "command",
            "_source": "YAML.COMPONENT",
        },
    }

    created = arm.call("PUT", "components/test/versions/1", {"properties": sent}, api_version=_VERSION)
    again = arm.call("PUT", "components/test/versions/1", {"properties": sent}, api_version=_VERSION)
    default = arm.call("GET", "components/test/versions/azureml_default", api_version=_VERSION)
    archived = {"properties": {**sent, "isArchived": True}}
    shelved = arm.call("PUT", "components/test/versions/1", archived, api_version=_VERSION)

    assert (created.status, again.status, shelved.status) == (201, 200, 200)
    assert (created.headers["Location"] is None, again.headers["Location"] is None) == (False, True)
    properties = created.body["properties"]
    assert list(properties) == [
        *("description", "tags", "properties", "isArchived", "isAnonymous", "autoDeleteSetting"),
        *("componentSpec", "provisioningState", "stage"),
    ]
    assert (properties["description"], properties["stage"]) == (None, "Development")
    assert list(properties["componentSpec"].items()) == [
        ("$schema", "https://azuremlschemas.azureedge.net/development/commandComponent.schema.json"),
        ("name", "test"),
        ("version", "1"),
        ("display_name", "CommandComponentBasic"),
        ("is_deterministic", "True"),
        ("type", "command"),
        ("description", "This is the basic command component"),
        ("tags", {"owner": "sdkteam"}),
        (
            "inputs",
            {
                "path": {"type": "uri_folder", "optional": "False", "description": "A path"},
                "number": {"type": "number", "optional": "True", "default": "10.99", "description": "A number"},
            },
        ),
        ("outputs", {"out": {"type": "uri_folder"}}),
        (
            "environment",
            "azureml://registries/azureml/environments/AzureML-sklearn-1.0-ubuntu20.04-py38-cpu/versions/33",
        ),
        ("resources", {"instance_count": "1"}),
        ("command", "echo Hello World"),
    ]
    assert list(properties["componentSpec"]["inputs"]) == ["path", "number"]
    assert default.body["id"].endswith("/components/test/labels/default")
    assert default.body["name"] == "1"
    assert shelved.body["properties"]["stage"] == "Archived"
    container = arm.call("GET", "components/test", api_version=_VERSION).body["properties"]
    assert (container["latestVersion"], container["description"], container["tags"]) == (None, "", {})
    assert len(container["nextVersion"]) == len("2026-03-27-04-08-37-9796775")


@pytest.mark.parametrize(
    ("kind", "default", "answered"),
    [("pipeline", "azureml:cpu", "cpu"), ("pipeline", "plain", "plain"), ("command", "azureml:cpu", "azureml:cpu")],
)
def test_a_default_of_a_pipeline_component_names_its_compute_without_a_prefix(
    arm: Arm, kind: str, default: str, answered: str
) -> None:
    spec = {"name": "ours", "version": "1", "type": kind, "inputs": {"where": {"type": "string", "default": default}}}

    body = {"properties": {"componentSpec": spec}}
    answer = arm.call("PUT", "components/ours/versions/1", body, api_version=_VERSION)

    assert answer.body["properties"]["componentSpec"]["inputs"]["where"]["default"] == answered


def test_a_definition_cannot_change_but_for_what_describes_it(arm: Arm) -> None:
    spec = {"type": "command", "command": "echo 1", "environment": "azureml:e:1", "display_name": "one"}

    def put(**changes: str) -> int:
        body = {"properties": {"componentSpec": {**spec, **changes}}}
        return arm.call("PUT", "components/c/versions/1", body, api_version=_VERSION).status

    assert put() == 201
    assert put(display_name="two", description="new") == 200
    assert put(command="echo 2") == 409
    described = arm.call("GET", "components/c/versions/1", api_version=_VERSION).body["properties"]["componentSpec"]
    assert (described["display_name"], described["command"]) == ("two", "echo 1")


def test_a_build_context_is_kept(ml_client: MLClient, emulator: Emulator, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM python:3.12\n")
    built = Environment(name="built", build=BuildContext(path=str(context)))

    ml_client.environments.create_or_update(built)

    found = ml_client.environments.get("built", label="latest")
    assert found.build is not None
    workspace = emulator.context.store.workspaces[0]
    place = find_place(emulator.context.folder, workspace, str(found.build.path))
    assert [(name, path.read_text()) for name, path in place.files()] == [("Dockerfile", "FROM python:3.12\n")]


def test_the_same_build_context_elsewhere_is_no_change(arm: Arm, emulator: Emulator) -> None:
    workspace = emulator.context.store.workspaces[0]
    container = f"azureml-blobstore-{workspace.workspace_id}"
    for name, content in (("one", "FROM a"), ("same", "FROM a"), ("other", "FROM b")):
        place = find_place(emulator.context.folder, workspace, f"azureml://datastores/workspaceblobstore/paths/{name}")
        place.file.mkdir(parents=True)
        (place.file / "Dockerfile").write_text(content)

    def put(name: str) -> tuple[int, str]:
        build = {"contextUri": f"{emulator.base_url}/{container}/{name}/"}
        answer = arm.call("PUT", "environments/built/versions/1", {"properties": {"build": build}})
        return answer.status, str(answer.body.get("properties", {}).get("build", {}).get("contextUri", ""))

    first = put("one")
    assert first == (201, f"{emulator.base_url}/{container}/one/")
    assert put("same") == first
    assert put("other")[0] == 409
