"""What a user may ask for, and what that means.

The settings model accepts every spelling that ZenML's documentation and its built-in operator have used;
`resolve` turns it into a request. Both are pure: they ask nothing of ZenML's server or of Azure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
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

from zenml_azureml.request import (
    ComputeCluster,
    ComputeInstance,
    ComputeRequest,
    ExistingCompute,
    JobOptions,
    Serverless,
)


class AzureMLSettingsError(Exception):
    """A setting that cannot be what was meant; the message says what to write instead.

    Not a `ValueError`: ZenML replaces pydantic's errors by a message without the reason.
    """


class AzureMLComputeMode(str, Enum):
    """Kinds of compute that a step can run on, in the words of ZenML's settings."""

    SERVERLESS = "serverless"
    COMPUTE_INSTANCE = "compute-instance"
    COMPUTE_CLUSTER = "compute-cluster"

    def __str__(self) -> str:
        return self.value


#: Other spellings of a setting, each with the name it is kept under: the one of ZenML's built-in operator.
ALIASES: dict[str, str] = {
    "compute_size": "size",
    "idle_type_before_shutdown_minutes": "idle_time_before_shutdown_minutes",
    "idle_time_before_scale_down": "idle_time_before_scaledown_down",
}

_INSTANCE_ONLY = frozenset({"idle_time_before_shutdown_minutes"})
_CLUSTER_ONLY = frozenset(
    {
        "idle_time_before_scaledown_down",
        "location",
        "min_instances",
        "max_instances",
        "tier",
    }
)
_COMPUTE = frozenset({"compute_name", "size", "compute_target_name"})

_TARGET = frozenset({"mode"}) | _COMPUTE | _INSTANCE_ONLY | _CLUSTER_ONLY

#: Settings that mean nothing in a mode.
IGNORED_BY_MODE: dict[AzureMLComputeMode, frozenset[str]] = {
    AzureMLComputeMode.SERVERLESS: _COMPUTE | _INSTANCE_ONLY | _CLUSTER_ONLY,
    AzureMLComputeMode.COMPUTE_INSTANCE: _CLUSTER_ONLY | {"compute_target_name"},
    AzureMLComputeMode.COMPUTE_CLUSTER: _INSTANCE_ONLY | {"compute_target_name"},
}


class AzureMLStepOperatorSettings(BaseSettings):
    """Where a step runs on Azure ML, and how.

    Attributes:
        mode: `serverless` (default), `compute-instance` or `compute-cluster`.
        compute_name: Name of the compute instance or cluster; required by both modes. It is used where it
            exists, and created with the settings below where it does not.
        size: VM size of a compute that has to be created, e.g. `Standard_DS3_v2`.
        idle_time_before_shutdown_minutes: Minutes after which an idle compute instance shuts itself down.
        idle_time_before_scaledown_down: Seconds after which an idle node of a compute cluster is released.
        location: Azure region of a compute cluster; the workspace's own by default.
        min_instances: Nodes of a compute cluster that are kept when idle.
        max_instances: Nodes of a compute cluster at the most.
        tier: `dedicated` or `low_priority` nodes in a compute cluster.
        shm_size: Shared memory of the job's container in Docker's notation: `2g`, `512m`.
        compute_target_name: Name of an existing compute target of either kind; used without `mode`.
        compute_size: Another name of `size`.
        idle_type_before_shutdown_minutes: Another name of `idle_time_before_shutdown_minutes`.
        idle_time_before_scale_down: Another name of `idle_time_before_scaledown_down`.

    Raises:
        AzureMLSettingsError: For an unknown or misspelt setting, an unknown mode, a missing compute name, or
            two spellings of one setting that disagree.
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

    # The other spellings. They are fields so that editors, type checkers and ZenML's command line know
    # them; a value given to one is kept under the name that ALIASES gives.
    compute_size: str | None = Field(default=None, exclude=True)
    idle_type_before_shutdown_minutes: int | None = Field(default=None, exclude=True)
    idle_time_before_scale_down: int | None = Field(default=None, exclude=True)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, build: ModelWrapValidatorHandler[Any]) -> Any:
        if not isinstance(data, Mapping):
            return build(data)
        try:
            settings = build(cls._prepare(dict(data)))
        except ValidationError as error:
            raise AzureMLSettingsError(_explain(error)) from error
        _require_compute_name(settings)
        return settings

    @model_serializer(mode="wrap")
    def _only_what_was_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # ZenML stores settings with all their defaults, which then would hide those of the step operator.
        return {key: value for key, value in serialize(self).items() if key in self.model_fields_set}

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The values under the names they are kept under."""
        _refuse_unknown(data, known=set(cls.model_fields))
        return normalise(data)


def normalise(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under the one name that each is kept under.

    Args:
        data: Settings by any of their names.

    Returns:
        The same settings; none of the keys of `ALIASES` is among them.

    Raises:
        AzureMLSettingsError: If two spellings of a setting have different values.
    """
    settings = dict(data)
    for alias, name in ALIASES.items():
        value = settings.pop(alias, None)
        if value is None:
            continue
        if settings.get(name) not in (None, value):
            raise AzureMLSettingsError(
                f"`{alias}={value!r}` and `{name}={settings[name]!r}` are two names of one setting with different "
                "values. Keep one of them."
            )
        settings[name] = value
    return settings


def step_settings(settings: Mapping[str, BaseSettings], operator_name: str) -> dict[str, Any]:
    """The settings that a step has for a step operator.

    Args:
        settings: All settings of the step, as ZenML keeps them.
        operator_name: The step operator.

    Returns:
        What was set; empty if nothing was. The keys are ZenML's canonical ones: by name, and by flavor in
        what older versions of ZenML stored.
    """
    for key in (f"step_operator:{operator_name}", "step_operator.azureml"):
        if key in settings:
            return {name: value for name, value in settings[key].model_dump().items() if value is not None}
    return {}


def merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> AzureMLStepOperatorSettings:
    """A step's settings on top of those of its step operator.

    What the step operator's configuration sets and the step's own choice of compute makes meaningless is left
    out in silence: the user of the step did not write it.

    Args:
        defaults: What the step operator's configuration sets.
        own: What the step sets. ZenML's compiler has put the defaults among it, so a value that is equal to its
            default counts as inherited.

    Returns:
        The settings in force.

    Raises:
        AzureMLSettingsError: If together they make no sense.
    """
    inherited = normalise(defaults)
    chosen = {name: value for name, value in normalise(own).items() if inherited.get(name) != value}
    if "mode" in chosen:
        meaningless = IGNORED_BY_MODE[AzureMLComputeMode(chosen["mode"])]
    elif "compute_target_name" in chosen:
        meaningless = _TARGET
    else:
        meaningless = frozenset()
    kept = {name: value for name, value in inherited.items() if name not in meaningless}
    return AzureMLStepOperatorSettings(**{**kept, **chosen})


def _refuse_unknown(data: Mapping[str, Any], known: set[str]) -> None:
    for key in data:
        if key in known:
            continue
        nearest = get_close_matches(key, sorted(known), n=1)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Settings: {', '.join(sorted(known))}."
        raise AzureMLSettingsError(f"Azure ML step operator settings: there is no `{key}`. {hint}")


def _require_compute_name(settings: AzureMLStepOperatorSettings) -> None:
    if settings.mode is not AzureMLComputeMode.SERVERLESS and not settings.compute_name:
        kind = "instance" if settings.mode is AzureMLComputeMode.COMPUTE_INSTANCE else "cluster"
        raise AzureMLSettingsError(
            f"`mode={settings.mode.value!r}` needs a `compute_name`: the name of the compute {kind} to use, which is "
            'created if it does not exist, e.g. `compute_name="my-compute"`.'
        )


def _explain(error: ValidationError) -> str:
    problems = []
    for detail in error.errors(include_url=False):
        name = ".".join(str(part) for part in detail["loc"]) or "settings"
        problems.append(f"`{name}={detail['input']!r}`: {detail['msg'][0].lower()}{detail['msg'][1:]}")
    return f"Azure ML step operator settings: {'; '.join(problems)}."


@dataclass(frozen=True)
class Resolution:
    """What settings mean.

    Attributes:
        compute: Where the job is to run.
        options: What it is to be.
        warnings: What was asked for and will not happen, a sentence each.
    """

    compute: ComputeRequest
    options: JobOptions
    warnings: tuple[str, ...] = ()


def resolve(settings: AzureMLStepOperatorSettings) -> Resolution:
    """Settle what settings ask of Azure.

    Args:
        settings: The settings of a step, those of its step operator underneath.

    Returns:
        The request, with a warning for each setting that the mode ignores.
    """
    given = {name for name in settings.model_fields_set if getattr(settings, name) is not None}
    by_target_name = settings.compute_target_name is not None and "mode" not in given
    if by_target_name:
        ignored = given & IGNORED_BY_MODE[AzureMLComputeMode.SERVERLESS] - {"compute_target_name"}
    else:
        ignored = given & IGNORED_BY_MODE[settings.mode]
    return Resolution(
        compute=_compute_request(settings, by_target_name),
        options=JobOptions(shm_size=settings.shm_size),
        warnings=tuple(
            f"{_spellings(name)} is ignored: {_why_ignored(name, settings, by_target_name)}."
            for name in sorted(ignored)
        ),
    )


def _compute_request(settings: AzureMLStepOperatorSettings, by_target_name: bool) -> ComputeRequest:
    if by_target_name:
        return ExistingCompute(settings.compute_target_name or "")
    if settings.mode is AzureMLComputeMode.SERVERLESS:
        return Serverless()
    assert settings.compute_name is not None  # noqa: S101 - _require_compute_name made sure
    if settings.mode is AzureMLComputeMode.COMPUTE_INSTANCE:
        return ComputeInstance(
            name=settings.compute_name,
            size=settings.size,
            idle_time_before_shutdown=_span(minutes=settings.idle_time_before_shutdown_minutes),
        )
    return ComputeCluster(
        name=settings.compute_name,
        size=settings.size,
        location=settings.location,
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        idle_time_before_scale_down=_span(seconds=settings.idle_time_before_scaledown_down),
        tier=settings.tier,
    )


def _span(*, minutes: int | None = None, seconds: int | None = None) -> timedelta | None:
    if minutes is None and seconds is None:
        return None
    return timedelta(minutes=minutes or 0, seconds=seconds or 0)


def _why_ignored(name: str, settings: AzureMLStepOperatorSettings, by_target_name: bool) -> str:
    if by_target_name:
        return (
            f"`compute_target_name` uses the existing `{settings.compute_target_name}` as it is. To have a compute "
            "created, set `mode` and `compute_name` instead"
        )
    if settings.mode is AzureMLComputeMode.SERVERLESS:
        if name == "compute_target_name":
            return "the mode is `serverless`. To use an existing compute, leave `mode` away"
        meant = "compute-instance" if name in _INSTANCE_ONLY else "compute-cluster"
        return f"the mode is `serverless`. To use a compute of your own, set `mode={meant!r}`"
    if name == "compute_target_name":
        return f"the mode is `{settings.mode}`, which uses `compute_name`"
    other = "compute-instance" if name in _INSTANCE_ONLY else "compute-cluster"
    return f"the mode is `{settings.mode}`; it belongs to `mode={other!r}`"


def _spellings(name: str) -> str:
    """The setting's name, with the others it may have been given by."""
    others = [f"`{alias}`" for alias, kept in ALIASES.items() if kept == name]
    return f"`{name}`" + (f" (or {', '.join(others)})" if others else "")
