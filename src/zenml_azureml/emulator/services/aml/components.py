"""Components: reusable definitions of jobs.

Sources: the recordings of azure-ai-ml's `test_command_component_with_code`, `test_component_archive_restore_version`,
`test_component_archive_restore_container` and `test_create_component_skip_if_no_change` of 2026-03-27
(Azure/azure-sdk-assets).
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.bounds import without_nul
from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.services.aml.asset_routes import AssetRoutes
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.data import not_found
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_Text = Annotated[str, AfterValidator(without_nul)]
_Tags = dict[_Text, _Text | None]

#: The version that stands for the latest one.
_DEFAULT = "azureml_default"

#: The name of all components that are not registered.
_ANONYMOUS = "azureml_anonymous"

#: Keys of a definition in the order in which they are answered; others follow them.
_ORDER = (
    *("$schema", "name", "version", "display_name", "is_deterministic", "type", "description", "tags"),
    *("inputs", "outputs", "code", "environment", "resources", "command"),
)
#: Keys that the service does not keep.
_DROPPED = frozenset({"_source"})
#: What of a definition a later PUT of the same version may change. Guess: the SDK's own test changes these.
_MUTABLE_IN_SPEC = frozenset({"display_name", "description", "tags"})

_CURATED = re.compile(r"azureml:(?P<name>AzureML-[^:@/]+):(?P<version>[^:@/]+)", re.IGNORECASE)

# Recorded in 2024-01-01-preview. Guess: the first versions.
_NEWER = Window("2023-10-01", "2023-02-01")
_WINDOWS = {"autoDeleteSetting": Window(None, "2023-02-01"), "provisioningState": _NEWER, "stage": _NEWER}


class _ComponentSchema(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)

    description: _Text | None = None
    tags: _Tags | None = None
    properties: _Tags | None = None
    is_archived: bool | None = Field(None, alias="isArchived")
    is_anonymous: bool | None = Field(None, alias="isAnonymous")
    spec: dict[str, Any] | None = Field(None, alias="componentSpec")


class Components(AssetKind):
    """Components."""

    plural = "components"
    singular = "Component"
    schema = _ComponentSchema
    default_version = _DEFAULT
    notes_every_put = True

    def complete(self, sent: Json, workspace: Workspace, name: str, version: str) -> Json:
        """Return the properties of a version."""
        del workspace
        spec = sent.get("componentSpec")
        if not spec:
            # Guess: there is no recording of this message.
            raise ServiceError(400, "UserError", "The field componentSpec is required.")
        is_archived = bool(sent.get("isArchived"))
        return {
            "description": None,  # recorded: that of the definition is there alone
            "tags": sent.get("tags") or {},
            "properties": sent.get("properties") or {},
            "isArchived": is_archived,
            "isAnonymous": bool(sent.get("isAnonymous")),
            "autoDeleteSetting": sent.get("autoDeleteSetting"),
            "componentSpec": answered_spec(spec, name, version),
            "provisioningState": "Succeeded",
            "stage": "Archived" if is_archived else sent.get("stage") or "Development",
        }

    def fixed(self, properties: Json) -> Json:
        """Return what a later PUT of the same version may not change."""
        # The versions of anonymous ones are hashes, of all but their names: azure-ai-ml's tests reuse them so.
        free = _MUTABLE_IN_SPEC | ({"name", "version"} if properties["isAnonymous"] else set())
        spec = {key: value for key, value in properties["componentSpec"].items() if key not in free}
        return {"isAnonymous": properties["isAnonymous"], "componentSpec": spec}

    def missing(self, name: str, version: str) -> ServiceError:
        """Return the refusal."""
        what = f"name: {name} and version: {version}" if version else f"name: {name}"
        # Guess: the words; the form is the one that was recorded of models.
        return not_found("ComponentNotFound", f"Component with {what} not found.")

    def shown(self, found: AssetVersion, container: AssetContainer, version: ApiVersion) -> Json:
        """Return the properties of a version."""
        del container
        return version.select(found.properties, _WINDOWS)

    def shown_container(self, container: AssetContainer, next_version: str, version: ApiVersion) -> Json:
        """Return the properties of a component, which never name its latest version (recorded)."""
        return version.select(
            {
                "description": container.description or "",
                "tags": container.tags or {},
                "properties": container.properties or {},
                "isArchived": container.is_archived,
                "latestVersion": None,
                "nextVersion": next_version,
                "provisioningState": "Succeeded",
            },
            _WINDOWS,
        )

    def has_next_number(self, container: AssetContainer) -> bool:
        """Return False: the next version is always the time (recorded)."""
        del container
        return False


def routes() -> list[web.RouteDef]:
    """Return the routes of components."""
    return AssetRoutes(Components()).routes()


def answered_spec(sent: Json, name: str, version: str) -> Json:
    """Return a definition as the service answers it: all values are texts, and defaults are there.

    Args:
        sent: The definition.
        name: Name of the component.
        version: Its version.
    """
    given = {key: _as_text(value) for key, value in sent.items() if key not in _DROPPED and value is not None}
    if name != _ANONYMOUS:  # whose definition keeps its own name (azure-ai-ml's test of anonymous components)
        given |= {"name": name, "version": version}
    if isinstance(given.get("inputs"), dict):
        given["inputs"] = _inputs(given["inputs"])
    if given.get("type") == "pipeline":  # expected by azure-ai-ml's tests of pipeline components
        given.setdefault("is_deterministic", "False")
        given |= {"inputs": _without_prefix(given["inputs"])} if "inputs" in given else {}
    if isinstance(given.get("environment"), str) and (curated := _CURATED.fullmatch(given["environment"])):
        found = curated["name"], curated["version"]
        given["environment"] = "azureml://registries/azureml/environments/{}/versions/{}".format(*found)
    if given.get("type") == "command":
        given.setdefault("resources", {"instance_count": "1"})
    return {key: given[key] for key in (*_ORDER, *given) if key in given}


def _inputs(sent: Json) -> Json:
    """Return the inputs of a definition, those that are required first."""
    inputs = {name: one if isinstance(one, dict) else {"type": one} for name, one in sent.items()}
    shown = {
        name: {**{key: one[key] for key in ("type",) if key in one}, "optional": "False", **one}
        for name, one in inputs.items()
    }
    # Guess: the order of several inputs of one kind stays.
    return dict(sorted(shown.items(), key=lambda item: str(item[1]["optional"]) == "True"))


def _without_prefix(inputs: Json) -> Json:
    """Return the inputs of a pipeline component, whose defaults name assets and computes without `azureml:`.

    Expected by azure-ai-ml's `test_simple_pipeline_component_create`. Guess: the defaults of texts alone.
    """
    return {
        name: {**one, "default": one["default"].removeprefix("azureml:")}
        if one.get("type") == "string" and isinstance(one.get("default"), str)
        else one
        for name, one in inputs.items()
    }


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return value if value is None else str(value)
