"""Translates settings into the compute and the job to request from Azure. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.secrets.docker_arguments import DockerArgumentsError, as_line, without_variables
from zenml_azureml.secrets.rule import is_reference
from zenml_azureml.settings.aliases import with_aliases
from zenml_azureml.settings.compute import AzureMLComputeMode
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.modes import (
    IGNORED_BY_MODE,
    IGNORED_BY_TARGET_NAME,
    INSTANCE_ONLY,
    SERVERLESS_ONLY,
    SERVERLESS_TIERS,
)
from zenml_azureml.specs.compute import (
    ComputeCluster,
    ComputeIdentity,
    ComputeInstance,
    ComputeSchedule,
    ComputeSpec,
    ExistingCompute,
    Serverless,
)
from zenml_azureml.specs.data import DataInput, DataOutput
from zenml_azureml.specs.job import JobDistribution, JobIdentity, JobOptions, JobService
from zenml_azureml.specs.limits import JOB_LIFETIME, LOW_PRIORITY_JOB_LIFETIME


@dataclass(frozen=True)
class Resolution:
    """The result of resolving settings.

    Attributes:
        compute: Compute of the job.
        options: Options of the job.
        warnings: Warnings about ignored settings, a sentence each.
    """

    compute: ComputeSpec
    options: JobOptions
    warnings: tuple[str, ...] = ()


def resolve(settings: AzureMLStepOperatorSettings) -> Resolution:
    """Translate settings into a compute and a job.

    Args:
        settings: The settings of a step, merged with those of its step operator.

    Returns:
        The compute and the job, with a warning for each setting that is ignored.
    """
    given = {name for name in settings.model_fields_set if getattr(settings, name) is not None}
    by_target_name = settings.compute_target_name is not None and "mode" not in given
    ignored = given & (IGNORED_BY_TARGET_NAME if by_target_name else IGNORED_BY_MODE[settings.mode])
    warnings = [
        f"{with_aliases(name)} is ignored: {_why_ignored(name, settings, by_target_name)}." for name in sorted(ignored)
    ]
    if settings.identity_client_id and settings.identity != "managed":
        warnings.append("`identity_client_id` is ignored: it belongs to `identity='managed'`.")
    if settings.key_vault and settings.secrets_via == "environment":
        warnings.append("`key_vault` is ignored: it belongs to `secrets_via='key-vault'` or `'auto'`.")
    if settings.ssh_admin_username and not settings.ssh_public_key and "ssh_admin_username" not in ignored:
        warnings.append("`ssh_admin_username` is ignored: without `ssh_public_key` there is no SSH.")
    warnings += _without_effect(settings, ignored)
    return Resolution(
        compute=_compute_request(settings, by_target_name),
        options=_job_options(settings, ignored),
        warnings=tuple(warnings),
    )


def _without_effect(settings: AzureMLStepOperatorSettings, ignored: set[str]) -> Iterator[str]:
    """Yield warnings about values that Azure accepts and that mean nothing, or less than they say."""
    if settings.priority and "priority" not in ignored:
        yield (
            "`priority` has no effect: Azure ML's serverless compute has no priorities, only its virtual clusters have "
            "them."
        )
    if settings.job_tier and settings.job_tier not in SERVERLESS_TIERS and "job_tier" not in ignored:
        yield (
            f"`job_tier={settings.job_tier!r}`: Azure ML's serverless compute has the tiers `standard` and `spot`; the "
            "others belong to its virtual clusters."
        )
    if settings.hold_on_failure_minutes and not settings.services:
        yield (
            "`hold_on_failure_minutes` holds a failed job open, but the job has no `services`, so nothing leads into "
            "its container. Add one, e.g. `services={'code': {'type': 'vs_code'}}`."
        )
    for name, service in (settings.services or {}).items():
        if service.type == "ssh" and not (service.ssh_public_keys or "").strip():
            yield f"The service `{name}` has no `ssh_public_keys`, so no key can log in."
    # Guess: spot capacity of serverless compute counts as low priority.
    low_priority = settings.tier == "low_priority" or settings.job_tier == "spot"
    lifetime = LOW_PRIORITY_JOB_LIFETIME if low_priority else JOB_LIFETIME
    if settings.timeout_minutes and timedelta(minutes=settings.timeout_minutes) > lifetime:
        yield (
            f"`timeout_minutes={settings.timeout_minutes}` is longer than a job can live: Azure ML ends it after "
            f"{lifetime.days} days ({lifetime // timedelta(minutes=1)} minutes)"
            + (" on low-priority nodes." if low_priority else ".")
        )


def _compute_request(settings: AzureMLStepOperatorSettings, by_target_name: bool) -> ComputeSpec:
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
        timeout=_timeout(settings),
        hold=timedelta(minutes=settings.hold_on_failure_minutes or 0),
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
        inputs=tuple(DataInput(name, **one.model_dump()) for name, one in (settings.inputs or {}).items()),
        outputs=tuple(DataOutput(name, **one.model_dump()) for name, one in (settings.outputs or {}).items()),
        checkpoints=wants_checkpoints(settings),
        secrets_via=settings.secrets_via,
        stop_check_seconds=settings.stop_check_seconds,
        sampling=settings.sampling,
        key_vault=settings.key_vault,
    )


def _timeout(settings: AzureMLStepOperatorSettings) -> timedelta | None:
    """Return the limit of Azure for a job: its own time, and that of its hold."""
    if settings.timeout_minutes is None:
        return None
    # Azure's limit is in whole seconds; a hold that is a fraction of one longer would be cut.
    return timedelta(minutes=settings.timeout_minutes, seconds=math.ceil((settings.hold_on_failure_minutes or 0) * 60))


def _docker_args(arguments: str | Sequence[str] | None) -> tuple[str | None, dict[str, str]]:
    """Return the arguments without the environment variables that they set, and these variables."""
    if not arguments:
        return None, {}
    line = as_line(arguments)
    try:
        # Guess: Azure ML passes the environment of a job to its container as `-e` does, and after these arguments.
        rest, variables = without_variables(line)
    except DockerArgumentsError as error:
        raise AzureMLSettingsError(
            f"`docker_args` is not a valid command line: {error}.", hint="Quote its values as for a shell."
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
        used = f"`compute_target_name={settings.compute_target_name!r}` uses the existing compute unchanged"
        if name in SERVERLESS_ONLY:
            return f"{used}; it belongs to `mode='serverless'`"
        return f"{used}. To have a compute created, set `mode` and `compute_name` instead"
    return f"the mode is `{settings.mode}`{_what_to_write(name, settings.mode)}"


def _what_to_write(name: str, mode: AzureMLComputeMode) -> str:
    """Return the rest of the sentence: the mode or the setting to use instead of an ignored setting."""
    serverless = mode is AzureMLComputeMode.SERVERLESS
    in_other_words = {
        "compute_target_name": ". To use an existing compute, remove `mode`"
        if serverless
        else ", which uses `compute_name`",
        "instance_type": "; the VM size of a new compute is `size`",
        "instance_count": ", and a compute instance is one node",
    }
    if serverless:
        in_other_words["size"] = ", whose VM size is `instance_type`"
    if name in in_other_words:
        return in_other_words[name]
    if name in SERVERLESS_ONLY:
        meant = AzureMLComputeMode.SERVERLESS
    elif name in INSTANCE_ONLY:
        meant = AzureMLComputeMode.COMPUTE_INSTANCE
    else:
        meant = AzureMLComputeMode.COMPUTE_CLUSTER
    return (
        f". To use a compute of your own, set `mode={meant.value!r}`"
        if serverless
        else (f"; it belongs to `mode={meant.value!r}`")
    )


def number_of_targets(settings: AzureMLStepOperatorSettings) -> int:
    """Return the number of targets of a step."""
    return 1 + len(settings.fallback or ())


def settings_of(settings: AzureMLStepOperatorSettings, target: int) -> AzureMLStepOperatorSettings:
    """Return the settings in force for one target.

    Args:
        settings: The settings of the step.
        target: Number of the target.

    Raises:
        AzureMLSettingsError: If the fallback and the step's settings contradict each other.
        IndexError: If there is no such target.
    """
    from zenml_azureml.settings.merge import merge

    if target == 0:
        return settings
    fallback = (settings.fallback or [])[target - 1]
    base = {name: value for name, value in settings.model_dump(exclude={"fallback"}).items() if value is not None}
    try:
        return merge({**base, "checkpoints": wants_checkpoints(settings)}, fallback)
    except AzureMLSettingsError as error:
        raise AzureMLSettingsError(f"`fallback[{target - 1}]`, on top of the step's own settings: {error}") from error


def wants_checkpoints(settings: AzureMLStepOperatorSettings) -> bool:
    """True if a step's job has a checkpoint folder: by its settings, or because the job may be resubmitted."""
    if settings.checkpoints is not None:
        return settings.checkpoints
    return bool(settings.fallback) or settings.job_tier == "spot" or settings.tier == "low_priority"
