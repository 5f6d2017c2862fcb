"""Generator of the tables in docs/settings.md, from the models that validate settings.

`python scripts/settings_reference.py` writes them; a test fails if they are out of date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from zenml_azureml.plugin.config import AzureMLStepOperatorConfig
from zenml_azureml.settings.aliases import ALIASES
from zenml_azureml.settings.compute import AzureMLComputeMode, AzureMLComputeSettings
from zenml_azureml.settings.data import AzureMLDataInput, AzureMLDataOutput
from zenml_azureml.settings.distribution import AzureMLDistribution
from zenml_azureml.settings.models import AzureMLJobService, AzureMLStepOperatorSettings
from zenml_azureml.settings.modes import IGNORED_BY_MODE, IGNORED_BY_TARGET_NAME
from zenml_azureml.settings.schedules import AzureMLComputeSchedule

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

_CLOUD = ("cloud", "arm_endpoint")
_WAITING = (
    *("quota_check", "queue_timeout_minutes", "fallback", "max_preemptions", "checkpoints"),
    *("max_unreachable_minutes", "max_cancel_minutes", "stop_check_seconds", "hold_on_failure_minutes", "sampling"),
    "stream_logs",
    "metrics_as_metadata",
)
_JOB = (
    *("display_name", "description", "experiment_name", "tags", "timeout_minutes"),
    *("max_usd", "max_usd_per_run", "unknown_price", "shm_size", "docker_args"),
    *("environment_variables", "secrets_via", "key_vault", "identity", "identity_client_id", "services"),
    *("inputs", "outputs"),
)
_MODES = {
    AzureMLComputeMode.SERVERLESS: "serverless",
    AzureMLComputeMode.COMPUTE_INSTANCE: "instance",
    AzureMLComputeMode.COMPUTE_CLUSTER: "cluster",
}
_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`True` or `False`",
    Any: "a value",
    AzureMLComputeSchedule: "schedules",
    AzureMLJobService: "a service",
    AzureMLDistribution: "a distribution",
    AzureMLDataInput: "an input",
    AzureMLDataOutput: "an output",
}


def tables() -> dict[str, str]:
    """The tables of the page, by the names that its markers have."""
    settings = AzureMLStepOperatorSettings.model_fields
    elsewhere = {*_CLOUD, *_WAITING, *_JOB, *ALIASES}
    own = [name for name in AzureMLStepOperatorConfig.model_fields if name not in AzureMLComputeSettings.model_fields]
    return {
        "compute": _table(
            AzureMLStepOperatorSettings, [name for name in settings if name not in elsewhere], with_modes=True
        ),
        "waiting": _table(AzureMLStepOperatorSettings, _WAITING),
        "job": _table(AzureMLStepOperatorSettings, _JOB),
        "cloud": _table(AzureMLStepOperatorSettings, _CLOUD),
        "config": _table(AzureMLStepOperatorConfig, own),
        "distribution": _table(AzureMLDistribution, AzureMLDistribution.model_fields),
        "inputs": _table(AzureMLDataInput, AzureMLDataInput.model_fields),
        "outputs": _table(AzureMLDataOutput, AzureMLDataOutput.model_fields),
        "services": _table(AzureMLJobService, AzureMLJobService.model_fields),
        "schedules": _table(AzureMLComputeSchedule, AzureMLComputeSchedule.model_fields),
    }


def filled_in(page: str) -> str:
    """The page with its tables as the code has them now.

    Args:
        page: Markdown with markers around each table.

    Raises:
        KeyError: If a marker names no table.
    """
    made = tables()

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{made[match[2]]}\n\n{match[3]}"

    return re.sub(r"(<!-- table: (\w+) -->).*?(<!-- end -->)", table, page, flags=re.DOTALL)


def _table(model: type[BaseModel], names: Iterable[str], *, with_modes: bool = False) -> str:
    meanings = _meanings(model)
    shared = AzureMLComputeSettings.model_fields if issubclass(model, AzureMLStepOperatorSettings) else {}
    heading = ["setting", "value", "default", *(["modes"] if with_modes else []), "meaning"]
    rows = [heading, ["---"] * len(heading)]
    for name in names:
        field = model.model_fields[name]
        spellings = [name, *(alias for alias, kept in ALIASES.items() if kept == name)]
        shown = ", ".join(f"`{spelling}`" for spelling in spellings) + (" *config*" if name in shared else "")
        modes = [_modes_of(name)] if with_modes else []
        rows.append([shown, _value(field.annotation), _default(field), *modes, meanings[name]])
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a model and its bases say of each field."""
    meanings: dict[str, str] = {}
    for one in reversed(model.__mro__):
        _, _, attributes = (getdoc(one) or "").partition("Attributes:\n")
        for name, text in re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE):
            meanings[name] = " ".join(text.split())
    return meanings


def _value(annotation: Any) -> str:
    """The values that a field takes, in words."""
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_value(one) for one in arguments if one is not NoneType)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if get_origin(annotation) is list:
        return f"list of {_value(arguments[0])}"
    if get_origin(annotation) is dict:
        return f"names, each with {_value(arguments[1])}"
    if annotation is not Any and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    return _WORDS[annotation]


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if default is PydanticUndefined:
        return "required"
    return "" if default is None else f"`{default.value if isinstance(default, Enum) else default}`"


def _modes_of(name: str) -> str:
    modes = [word for mode, word in _MODES.items() if name not in IGNORED_BY_MODE[mode]]
    if name not in IGNORED_BY_TARGET_NAME:
        modes.append("target name")
    return "all" if len(modes) > len(_MODES) else ", ".join(modes)


if __name__ == "__main__":
    PAGE.write_text(filled_in(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
