"""The settings about compute, which ZenML's built-in operator has too, and the checks of all settings."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from zenml.config.base_settings import BaseSettings

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.secrets.redacted_model import RedactedModel
from zenml_azureml.settings.aliases import canonicalize, reject_unknown_keys
from zenml_azureml.settings.naming_rules import bare_compute_name
from zenml_azureml.settings.value_checks import check_values


class AzureMLComputeMode(str, Enum):
    """Kinds of compute that a step can run on, by the names of ZenML's settings."""

    SERVERLESS = "serverless"
    COMPUTE_INSTANCE = "compute-instance"
    COMPUTE_CLUSTER = "compute-cluster"

    def __str__(self) -> str:
        return self.value


class AzureMLComputeSettings(RedactedModel, BaseSettings):
    """The settings that ZenML's built-in operator also has, which a component's configuration can hold.

    Attributes:
        mode: Kind of compute that the job runs on.
        compute_name: Name of the compute instance or cluster; both modes require it. The operator uses it if it exists,
            and creates it with the settings below otherwise.
        size: VM size of a new compute instance or cluster, e.g. `Standard_DS3_v2`.
        idle_time_before_shutdown_minutes: Idle time in minutes after which a new compute instance shuts down.
        idle_time_before_scaledown_down: Idle time in seconds after which a new compute cluster releases a node.
        location: Azure region of a new compute cluster; by default the region of the workspace.
        min_instances: Minimum number of nodes of a new compute cluster, also while it is idle.
        max_instances: Maximum number of nodes of a new compute cluster.
        tier: Priority of the nodes of a new compute cluster: `dedicated` or `low_priority`.
        shm_size: Shared memory of the job's container in Docker's notation, e.g. `2g`, `512m`.
        compute_target_name: Name of an existing compute target of any kind, to use without `mode`; the operator creates
            nothing.
        compute_size: Alias of `size`.
        idle_type_before_shutdown_minutes: Alias of `idle_time_before_shutdown_minutes`.
        idle_time_before_scale_down: Alias of `idle_time_before_scaledown_down`.
    """

    mode: AzureMLComputeMode = AzureMLComputeMode.SERVERLESS
    compute_name: str | None = None
    size: str | None = None
    idle_time_before_shutdown_minutes: int | None = Field(default=None, gt=0)
    idle_time_before_scaledown_down: int | None = Field(default=None, gt=0)
    location: str | None = None
    min_instances: int | None = Field(default=None, ge=0)
    max_instances: int | None = Field(default=None, ge=1)
    tier: str | None = None
    shm_size: str | None = None
    compute_target_name: str | None = None

    # Aliases. They are fields so that editors, type checkers and ZenML's command line know them; their values are
    # stored under the names in ALIASES.
    compute_size: str | None = Field(default=None, exclude=True)
    idle_type_before_shutdown_minutes: int | None = Field(default=None, exclude=True)
    idle_time_before_scale_down: int | None = Field(default=None, exclude=True)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, build: ModelWrapValidatorHandler[Any]) -> Any:
        if not isinstance(data, Mapping):
            return build(data)
        try:
            settings = build(_in_azures_spelling(cls._prepare(dict(data))))
        except ValidationError as error:
            # Not chained: the text of the original error shows all values, secrets too.
            raise AzureMLSettingsError(_explain(error)) from None
        _check_names(settings)
        return settings

    @model_serializer(mode="wrap")
    def _only_what_was_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # ZenML stores settings with all their defaults, which would override those of the step operator.
        return {key: value for key, value in serialize(self).items() if key in self.model_fields_set}

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return the values under the canonical names of their settings."""
        reject_unknown_keys(data, known=cls.model_fields)
        return canonicalize(data)


#: Settings whose values must not appear in messages.
_MAY_BE_SECRET = frozenset({"environment_variables", "tenant_id", "service_principal_id", "service_principal_password"})

#: Settings whose values Azure's documentation, portal and SDK write in different cases.
_ANY_CASE = ("job_tier", "priority", "tier")


def _in_azures_spelling(data: dict[str, Any]) -> dict[str, Any]:
    """Return values as the SDK spells them: `low_priority` for `LowPriority`, `gpus` for `azureml:gpus`."""
    for name in ("compute_name", "compute_target_name"):
        if isinstance(data.get(name), str):
            data[name] = bare_compute_name(data[name])
    for name in _ANY_CASE:
        if isinstance(data.get(name), str):
            value = data[name].lower().replace("-", "_")
            data[name] = "low_priority" if value == "lowpriority" else value
    return data


def _check_names(settings: AzureMLComputeSettings) -> None:
    values = dict(settings)  # reading an attribute would ask the server for a secret that it refers to
    if values["mode"] is not AzureMLComputeMode.SERVERLESS and not values["compute_name"]:
        kind = "instance" if values["mode"] is AzureMLComputeMode.COMPUTE_INSTANCE else "cluster"
        raise AzureMLSettingsError(
            f"`mode={values['mode'].value!r}` needs a `compute_name`: the name of the compute {kind} to use, which is "
            'created if it does not exist, e.g. `compute_name="my-compute"`.'
        )
    if values["tier"] not in (None, "dedicated", "low_priority"):
        raise AzureMLSettingsError(f"`tier={values['tier']!r}`: it can be 'dedicated' or 'low_priority'.")
    check_values(values)


def _explain(error: ValidationError) -> str:
    problems = []
    for detail in error.errors(include_url=False):
        name = ".".join(str(part) for part in detail["loc"]) or "settings"
        # For a missing field, the "input" contains all other fields, passwords too.
        shown = detail["type"] != "missing" and name.partition(".")[0] not in _MAY_BE_SECRET
        value = f"={detail['input']!r}" if shown and isinstance(detail["input"], str | int | float) else ""
        problems.append(f"`{name}{value}`: {detail['msg'][0].lower()}{detail['msg'][1:]}")
    return f"Azure ML step operator settings: {'; '.join(problems)}."
