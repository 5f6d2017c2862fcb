"""What settings mean: from what a user wrote to what is asked of Azure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from zenml_azureml.docker_arguments import DockerArgumentsError, as_line, without_variables
from zenml_azureml.request import (
    ComputeCluster,
    ComputeIdentity,
    ComputeInstance,
    ComputeRequest,
    ComputeSchedule,
    ExistingCompute,
    JobDistribution,
    JobIdentity,
    JobOptions,
    JobService,
    Serverless,
)
from zenml_azureml.secret_rule import is_reference
from zenml_azureml.settings import AzureMLComputeMode, AzureMLStepOperatorSettings
from zenml_azureml.spellings import AzureMLSettingsError, all_spellings, normalise
from zenml_azureml.targets import wants_checkpoints

_SERVERLESS_ONLY = frozenset({"instance_type", "job_tier", "priority", "locations"})
_INSTANCE_ONLY = frozenset({"idle_time_before_shutdown_minutes", "schedules", "start_stopped_instance"})
_CLUSTER_ONLY = frozenset(
    {
        *("idle_time_before_scaledown_down", "location", "min_instances", "max_instances", "tier"),
        "ssh_admin_username",
    }
)
#: What describes a compute of the user's own, of either kind.
_COMPUTE = frozenset(
    {
        *("compute_name", "size", "compute_target_name", "ssh_public_key", "vnet_name", "subnet"),
        *("compute_identity", "delete_compute_after"),
    }
)
_OF_ITS_OWN = _COMPUTE | _INSTANCE_ONLY | _CLUSTER_ONLY

#: Settings that mean nothing in a mode.
IGNORED_BY_MODE: dict[AzureMLComputeMode, frozenset[str]] = {
    AzureMLComputeMode.SERVERLESS: _OF_ITS_OWN,
    AzureMLComputeMode.COMPUTE_INSTANCE: _SERVERLESS_ONLY | _CLUSTER_ONLY | {"instance_count", "compute_target_name"},
    AzureMLComputeMode.COMPUTE_CLUSTER: _SERVERLESS_ONLY | _INSTANCE_ONLY | {"compute_target_name"},
}

#: Settings that mean nothing where an existing compute is named by `compute_target_name`.
IGNORED_BY_TARGET_NAME = (_SERVERLESS_ONLY | _OF_ITS_OWN) - {"compute_target_name", "start_stopped_instance"}


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
        The request, with a warning for each setting that is ignored.
    """
    given = {name for name in settings.model_fields_set if getattr(settings, name) is not None}
    by_target_name = settings.compute_target_name is not None and "mode" not in given
    ignored = given & (IGNORED_BY_TARGET_NAME if by_target_name else IGNORED_BY_MODE[settings.mode])
    warnings = [
        f"{all_spellings(name)} is ignored: {_why_ignored(name, settings, by_target_name)}." for name in sorted(ignored)
    ]
    if settings.identity_client_id and settings.identity != "managed":
        warnings.append("`identity_client_id` is ignored: it belongs to `identity='managed'`.")
    if settings.key_vault and settings.secrets_via == "environment":
        warnings.append("`key_vault` is ignored: it belongs to `secrets_via='key-vault'` or `'auto'`.")
    if settings.ssh_admin_username and not settings.ssh_public_key and "ssh_admin_username" not in ignored:
        warnings.append("`ssh_admin_username` is ignored: without `ssh_public_key` there is no SSH.")
    return Resolution(
        compute=_compute_request(settings, by_target_name),
        options=_job_options(settings, ignored),
        warnings=tuple(warnings),
    )


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
        meaningless = IGNORED_BY_TARGET_NAME | {"mode"}
    else:
        meaningless = frozenset()
    kept = {name: value for name, value in inherited.items() if name not in meaningless}
    return AzureMLStepOperatorSettings(**{**kept, **chosen})


def _compute_request(settings: AzureMLStepOperatorSettings, by_target_name: bool) -> ComputeRequest:
    if by_target_name:
        return ExistingCompute(settings.compute_target_name or "", start_if_stopped=settings.start_stopped_instance)
    if settings.mode is AzureMLComputeMode.SERVERLESS:
        return Serverless()
    assert settings.compute_name is not None  # noqa: S101 - the settings have been checked
    if settings.mode is AzureMLComputeMode.COMPUTE_INSTANCE:
        return ComputeInstance(
            name=settings.compute_name,
            size=settings.size,
            idle_time_before_shutdown=_span(minutes=settings.idle_time_before_shutdown_minutes),
            ssh_public_key=settings.ssh_public_key,
            vnet_name=settings.vnet_name,
            subnet=settings.subnet,
            identity=_compute_identity(settings.compute_identity),
            schedules=tuple(
                ComputeSchedule(schedule.action, schedule.cron, schedule.time_zone)
                for schedule in settings.schedules or ()
            ),
            start_if_stopped=settings.start_stopped_instance,
        )
    return ComputeCluster(
        name=settings.compute_name,
        size=settings.size,
        location=settings.location,
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        idle_time_before_scale_down=_span(seconds=settings.idle_time_before_scaledown_down),
        tier=settings.tier,
        ssh_public_key=settings.ssh_public_key,
        ssh_admin_username=settings.ssh_admin_username,
        vnet_name=settings.vnet_name,
        subnet=settings.subnet,
        identity=_compute_identity(settings.compute_identity),
    )


def _job_options(settings: AzureMLStepOperatorSettings, ignored: set[str]) -> JobOptions:
    def unless_ignored(name: str) -> Any:
        return None if name in ignored else getattr(settings, name)

    docker_args, docker_variables = _docker_args(settings.docker_args)
    variables = {**docker_variables, **(settings.environment_variables or {})}
    return JobOptions(
        display_name=settings.display_name,
        description=settings.description,
        tags=settings.tags or {},
        experiment=settings.experiment_name,
        timeout=_span(minutes=settings.timeout_minutes),
        shm_size=settings.shm_size,
        docker_args=docker_args,
        docker_variables=docker_variables,
        environment_variables=settings.environment_variables or {},
        secret_variables=frozenset(name for name, value in variables.items() if is_reference(value)),
        identity=JobIdentity(settings.identity, settings.identity_client_id) if settings.identity else None,
        services=tuple(JobService(name, **service.model_dump()) for name, service in (settings.services or {}).items()),
        instance_type=unless_ignored("instance_type"),
        instance_count=unless_ignored("instance_count"),
        distribution=JobDistribution(**settings.distribution.model_dump()) if settings.distribution else None,
        job_tier=unless_ignored("job_tier"),
        priority=unless_ignored("priority"),
        locations=tuple(unless_ignored("locations") or ()),
        checkpoints=wants_checkpoints(settings),
        secrets_via=settings.secrets_via,
        stop_check_seconds=settings.stop_check_seconds,
        key_vault=settings.key_vault,
    )


def _docker_args(arguments: str | Sequence[str] | None) -> tuple[str | None, dict[str, str]]:
    """The arguments without the environment variables that they set, and those."""
    if not arguments:
        return None, {}
    line = as_line(arguments)
    try:
        # Guess: Azure ML hands the environment of a job to its container as `-e` does, and after these arguments.
        rest, variables = without_variables(line)
    except DockerArgumentsError as error:
        raise AzureMLSettingsError(
            f"`docker_args` cannot be read as a command line: {error}.", do_next="Quote its values as for a shell."
        ) from None
    return rest or None, variables


def _compute_identity(identity: str | list[str] | None) -> ComputeIdentity | None:
    if identity is None:
        return None
    if isinstance(identity, str):
        return ComputeIdentity(system_assigned=True)
    return ComputeIdentity(user_assigned=tuple(identity))


def _span(*, minutes: int | None = None, seconds: int | None = None) -> timedelta | None:
    if minutes is None and seconds is None:
        return None
    return timedelta(minutes=minutes or 0, seconds=seconds or 0)


def _why_ignored(name: str, settings: AzureMLStepOperatorSettings, by_target_name: bool) -> str:
    if by_target_name:
        used = f"`compute_target_name={settings.compute_target_name!r}` uses what exists under that name, as it is"
        if name in _SERVERLESS_ONLY:
            return f"{used}; it belongs to `mode='serverless'`"
        return f"{used}. To have a compute created, set `mode` and `compute_name` instead"
    return f"the mode is `{settings.mode}`{_what_to_write(name, settings.mode)}"


def _what_to_write(name: str, mode: AzureMLComputeMode) -> str:
    """The rest of the sentence: where a setting belongs that a mode ignores."""
    serverless = mode is AzureMLComputeMode.SERVERLESS
    in_other_words = {
        "compute_target_name": ". To use an existing compute, leave `mode` away"
        if serverless
        else ", which uses `compute_name`",
        "instance_type": "; the VM size of a new compute is `size`",
        "instance_count": ", and a compute instance is one node",
    }
    if serverless:
        in_other_words["size"] = ", whose VM size is `instance_type`"
    if name in in_other_words:
        return in_other_words[name]
    if name in _SERVERLESS_ONLY:
        meant = AzureMLComputeMode.SERVERLESS
    elif name in _INSTANCE_ONLY:
        meant = AzureMLComputeMode.COMPUTE_INSTANCE
    else:
        meant = AzureMLComputeMode.COMPUTE_CLUSTER
    return (
        f". To use a compute of your own, set `mode={meant.value!r}`"
        if serverless
        else (f"; it belongs to `mode={meant.value!r}`")
    )
