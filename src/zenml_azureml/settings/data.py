"""The settings `inputs` and `outputs`: data on Azure that a job reads and writes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.secrets.redacted_model import RedactedModel
from zenml_azureml.secrets.rule import is_reference
from zenml_azureml.settings.aliases import reject_unknown_keys
from zenml_azureml.specs.data import LATEST, asset_reference, datastore_of, without_query

_Type = Literal["uri_file", "uri_folder", "mltable"]

#: The names that the SDK accepts, which are also parts of names of environment variables in the job.
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,254}", re.ASCII)
_ASSET_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}", re.ASCII)

#: Names of outputs that every job has, or that a setting of its own gives it.
_RESERVED = {"default": "every job has an output of that name", OUTPUT: "the setting `checkpoints` uses it"}

#: Addresses of data that Azure ML reads. Source: Microsoft, "Data concepts in Azure Machine Learning".
_ADDRESS = re.compile(r"(https?|wasbs?|abfss?|adl|azureml)://.+", re.IGNORECASE | re.DOTALL)

#: Address or ARM id of a data asset of a registry or of another workspace, by a label.
_LABEL_IN_ADDRESS = re.compile(r"(azureml:)?/.*/data/[^/]+/labels/[^/]+/?", re.IGNORECASE)

_FORMS = (
    "a data asset (`azureml:images:3`, `azureml:images@latest`), a path in a datastore "
    "(`azureml://datastores/workspaceblobstore/paths/images/`) or an address (`https://...`)"
)


class AzureMLDataInput(RedactedModel):
    """An input of a job.

    Attributes:
        path: Data asset (`azureml:NAME:VERSION`, `azureml:NAME@latest`), path in a datastore
            (`azureml://datastores/NAME/paths/...`), or address (`https://...`).
        type: Type of the data; by default the type of the data asset, and `uri_folder` for other paths.
        mode: Access of the job: `ro_mount` (the default), `rw_mount`, `download`, or `direct` to get the address only;
            `eval_mount` and `eval_download` are for the type `mltable`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    type: _Type | None = None
    mode: Literal["ro_mount", "rw_mount", "download", "direct", "eval_mount", "eval_download"] | None = None


class AzureMLDataOutput(RedactedModel):
    """An output of a job.

    Attributes:
        type: Type of the data.
        path: Path in a datastore; by default Azure chooses one for each job, in the workspace's default datastore.
        mode: `rw_mount` (the default), `upload` at the end of the job, or `direct` to get the address only.
        register_as: Name of a data asset. If the job succeeds, Azure ML registers the output as its next version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: _Type = "uri_folder"
    path: str | None = None
    mode: Literal["rw_mount", "upload", "direct"] | None = None
    register_as: str | None = None


def checked_inputs(inputs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the setting `inputs` in the form that is stored: a dictionary for each input.

    Args:
        inputs: The inputs as the user wrote them; a text stands for the path of an input.

    Raises:
        AzureMLSettingsError: For an invalid name, path or key.
    """
    checked = {}
    for name, value in inputs.items():
        where = f"`inputs[{name!r}]`"
        entry = _entry({"path": value} if isinstance(value, str) else value, AzureMLDataInput, where, "ro_mount")
        if entry is not None:
            if "path" not in entry:
                raise AzureMLSettingsError(f"{where} has no `path`.", hint=f"Name {_FORMS}.")
            _check_input_path(entry["path"], where)
        checked[name] = value if entry is None else entry  # pydantic refuses other values
    _check_names("inputs", checked)
    return checked


def checked_outputs(outputs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the setting `outputs` in the form that is stored: a dictionary for each output.

    Args:
        outputs: The outputs as the user wrote them.

    Raises:
        AzureMLSettingsError: For an invalid name, path, asset or key.
    """
    checked = {}
    for name, value in outputs.items():
        where = f"`outputs[{name!r}]`"
        entry = _entry({} if value is None else value, AzureMLDataOutput, where, "rw_mount")
        if entry is not None:
            _check_output(entry, where)
        checked[name] = value if entry is None else entry
        if str(name).lower() in _RESERVED:
            raise AzureMLSettingsError(
                f"{where}: {_RESERVED[str(name).lower()]}.", hint="Give the output another name."
            )
    _check_names("outputs", checked)
    return checked


#: Environment variable of a step with the data in its settings. ZenML's cache key includes such variables.
CACHE_VARIABLE = "ZENML_AZUREML_DATA"


def cache_text(inputs: Mapping[str, AzureMLDataInput] | None, outputs: Mapping[str, AzureMLDataOutput] | None) -> str:
    """Return the data of a step as a text for ZenML's cache key. Signatures in addresses are not part of it.

    Args:
        inputs: The setting `inputs`.
        outputs: The setting `outputs`.
    """
    data: dict[str, dict[str, Any]] = {"inputs": {}, "outputs": {}}
    for kind, entries in (("inputs", inputs or {}), ("outputs", outputs or {})):
        for name, entry in entries.items():
            values = entry.model_dump(exclude_none=True)
            data[kind][name] = {key: without_query(value) for key, value in values.items()}
    return json.dumps({kind: entries for kind, entries in data.items() if entries}, sort_keys=True)


def _entry(value: Any, model: type[BaseModel], where: str, mount: str) -> dict[str, Any] | None:
    """Return one input or output as a dictionary, its values in the SDK's spelling; None if it is none."""
    if isinstance(value, model):
        value = value.model_dump()
    if not isinstance(value, Mapping):
        return None
    reject_unknown_keys(value, known=model.model_fields, where=f" in {where}")
    entry = {key: item for key, item in value.items() if item is not None}
    for key in ("type", "mode"):
        if isinstance(entry.get(key), str):
            entry[key] = entry[key].lower()
    if entry.get("mode") == "mount":  # the SDK's other word for it
        entry["mode"] = mount
    return entry


def _check_names(setting: str, entries: Mapping[Any, Any]) -> None:
    seen: dict[str, str] = {}
    for name in entries:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise AzureMLSettingsError(
                f"`{setting}[{name!r}]`: the name of an input or output has letters, digits and underscores, and does "
                "not begin with a digit.",
                hint="Give it another name.",
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise AzureMLSettingsError(
                f"`{setting}` has the names {other!r} and {name!r}, which differ in upper and lower case only.",
                hint="Rename one of them: the environment variables of a job do not distinguish them.",
            )


def _check_input_path(path: Any, where: str) -> None:
    if not isinstance(path, str) or is_reference(path):
        return
    reference = asset_reference(path)
    if reference is not None:
        if reference.label not in (None, LATEST):
            raise AzureMLSettingsError(
                f"{where}: data assets of Azure ML have the label `{LATEST}` only, not `{reference.label}`.",
                hint=f"Write `azureml:{reference.name}@{LATEST}`, or a version.",
            )
        return
    if _LABEL_IN_ADDRESS.fullmatch(path):
        raise AzureMLSettingsError(
            f"{where} is `{path}`: labels are for data assets of the job's own workspace, and for "
            f"`azureml:NAME@{LATEST}` only.",
            hint="Write the version: `.../versions/3`.",
        )
    if _ADDRESS.fullmatch(path):
        return
    if path.lower().startswith("azureml:") and "/" not in path:
        raise AzureMLSettingsError(
            f"{where} is `{path}`, which has no version.",
            hint=f"Write `{path.rstrip(':@')}:1` for a version, or `{path.rstrip(':@')}@{LATEST}`.",
        )
    hint = f"Name {_FORMS}."
    if asset_reference(f"azureml:{path}") is not None:
        hint = f"Write `azureml:{path}` for a data asset."
    raise AzureMLSettingsError(f"{where} is `{path}`, which is not data on Azure.", hint=hint)


def _check_output(entry: Mapping[str, Any], where: str) -> None:
    path, asset = entry.get("path"), entry.get("register_as")
    if isinstance(path, str) and not is_reference(path) and datastore_of(path) is None:
        raise AzureMLSettingsError(
            f"{where} has the path `{path}`, to which a job cannot write.",
            hint="Name a path in a datastore, `azureml://datastores/workspaceblobstore/paths/models/`, or leave `path` "
            "out.",
        )
    if isinstance(asset, str) and not is_reference(asset) and not _ASSET_NAME.fullmatch(asset):
        raise AzureMLSettingsError(
            f"{where}: `register_as={asset!r}` is not the name of a data asset.",
            hint="A name has letters, digits, dots, dashes and underscores. Azure ML gives it the next version.",
        )
