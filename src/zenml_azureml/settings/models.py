"""What a user may ask for: the models of the settings, and which values they take.

What the settings mean is in `plan.py`. Both are pure: they ask nothing of ZenML's server or of Azure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from zenml.config.base_settings import BaseSettings
from zenml.utils.secret_utils import is_secret_reference

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.secrets.redacted_model import RedactedModel
from zenml_azureml.settings.aliases import canonicalize, reject_unknown_keys
from zenml_azureml.settings.distribution import AzureMLDistribution
from zenml_azureml.settings.fallback import checked_fallback
from zenml_azureml.settings.naming_rules import NameRuleError, check_compute_name, check_key_vault, check_shm_size


class AzureMLComputeMode(str, Enum):
    """Kinds of compute that a step can run on, in the words of ZenML's settings."""

    SERVERLESS = "serverless"
    COMPUTE_INSTANCE = "compute-instance"
    COMPUTE_CLUSTER = "compute-cluster"

    def __str__(self) -> str:
        return self.value


class AzureMLJobService(RedactedModel):
    """A service that runs beside a job, to look into it while it runs.

    Attributes:
        type: What is served.
        ssh_public_keys: For `ssh`: the keys that may log in.
        log_dir: For `tensor_board`: the folder to show.
        port: Port in the container; None leaves it to Azure.
        nodes: `all` for every node; None for the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["ssh", "jupyter_lab", "tensor_board", "vs_code"]
    ssh_public_keys: str | None = None
    log_dir: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    nodes: Literal["all"] | None = None


class AzureMLComputeSchedule(RedactedModel):
    """When a new compute instance is started or stopped.

    Attributes:
        action: What is done.
        cron: Crontab expression of five fields, e.g. `0 18 * * 1-5`.
        time_zone: In Windows' or Azure's words, e.g. `UTC`, `W. Europe Standard Time`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["start", "stop"]
    cron: str = Field(pattern=r"^\S+(\s+\S+){4}$")
    time_zone: str = "UTC"


class AzureMLComputeSettings(RedactedModel, BaseSettings):
    """The settings that ZenML's built-in operator knows too, which a component's configuration can hold.

    Attributes:
        mode: The kind of compute.
        compute_name: Name of the compute instance or cluster; required by both modes. It is used where it
            exists, and created with the settings below where it does not.
        size: VM size of a compute that has to be created, e.g. `Standard_DS3_v2`.
        idle_time_before_shutdown_minutes: Minutes after which a new compute instance that is idle shuts itself down.
        idle_time_before_scaledown_down: Seconds after which an idle node of a new compute cluster is released.
        location: Azure region of a new compute cluster; the workspace's own by default.
        min_instances: Nodes of a new compute cluster that are kept when idle.
        max_instances: Nodes of a new compute cluster at the most.
        tier: `dedicated` or `low_priority`: the nodes of a new compute cluster.
        shm_size: Shared memory of the job's container in Docker's notation: `2g`, `512m`.
        compute_target_name: Name of a compute target that exists, of whatever kind; nothing is created. Used without
            `mode`.
        compute_size: Another name of `size`.
        idle_type_before_shutdown_minutes: Another name of `idle_time_before_shutdown_minutes`.
        idle_time_before_scale_down: Another name of `idle_time_before_scaledown_down`.
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
            settings = build(_in_azures_case(cls._prepare(dict(data))))
        except ValidationError as error:
            # Not from it: its own text shows all that was given, secrets too.
            raise AzureMLSettingsError(_explain(error)) from None
        _check_names(settings)
        return settings

    @model_serializer(mode="wrap")
    def _only_what_was_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # ZenML stores settings with all their defaults, which then would hide those of the step operator.
        return {key: value for key, value in serialize(self).items() if key in self.model_fields_set}

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The values under the names they are kept under."""
        reject_unknown_keys(data, known=cls.model_fields)
        return canonicalize(data)


class AzureMLStepOperatorSettings(AzureMLComputeSettings):
    """Where a step runs on Azure ML, and how.

    Beyond what `AzureMLComputeSettings` has:

    Attributes:
        instance_type: VM size of serverless compute, e.g. `Standard_DS3_v2`.
        instance_count: Nodes that the job runs on.
        distribution: The processes of the job on all of its nodes, e.g. `{"type": "pytorch",
            "process_count_per_instance": 4}`. Each runs the step; the first one reports to ZenML.
        job_tier: The kind of capacity of serverless compute.
        priority: Among the jobs that wait for serverless compute.
        locations: Azure regions in which serverless compute may run the job.
        start_stopped_instance: Whether a stopped compute instance is started; otherwise it is an error.
        ssh_public_key: Key that may log in to a new compute.
        ssh_admin_username: User to log in as, on a new compute cluster.
        vnet_name: Virtual network of a new compute.
        subnet: Its subnet, by name or ARM id.
        compute_identity: Identity of a new compute: `system_assigned`, or ARM ids of user-assigned ones.
        schedules: When a new compute instance is started and stopped.
        delete_compute_after: Whether a compute that this step created is deleted after it.
        quota_check: What a missing quota is: an error (`fail`), a warning (`warn`), or nothing that is looked at
            (`off`).
        queue_timeout_minutes: Minutes that a job may wait for its compute before it is cancelled.
        fallback: Further places to run the job at, in this order, each as the settings that differ there: tried when
            Azure has no capacity for the job, takes its node away, or lets it wait for longer than
            `queue_timeout_minutes`.
        max_preemptions: How often a job is submitted again to the same place after Azure has taken its node away, where
            no fallback is left.
        checkpoints: Whether the job has a folder that outlives it, `zenml_azureml.checkpoint_dir()`; by default where
            there is a `fallback`, `job_tier="spot"` or `tier="low_priority"`.
        max_unreachable_minutes: Minutes that Azure may be out of reach, at the submit and while the job runs, before
            the step is given up; and that ZenML's server may be, when the operator saves the job or the step's end.
        max_cancel_minutes: Minutes that an unfinished job of an earlier step run of the step may take to end, after a
            retry or a restart of the orchestrator, before the step fails rather than run beside it.
        stop_check_seconds: Average seconds between two checks of the running job for whether its step is over on the
            ZenML server, in which case it ends itself; 0 for no checks.
        stream_logs: Whether the job's log, and its state before it runs, are shown while the step runs.
        display_name: What Studio shows as the job's name; by default the step and the run.
        description: What Studio shows as its description.
        tags: Tags beside those with pipeline, run and step.
        experiment_name: Its experiment; by default the pipeline.
        timeout_minutes: Minutes after which Azure cancels the running job.
        docker_args: Further arguments of `docker run`, e.g. `--ipc=host`, or a list of them. Environment variables
            among them join `environment_variables`, which count before them.
        identity: Whom the job acts as: a managed identity, the user who submits it, or nobody but the job itself.
        identity_client_id: Client id of a user-assigned managed identity; the job finds it in AZURE_CLIENT_ID.
        services: Services beside the job, by a name of your choice.
        environment_variables: Environment variables for the step's process. A value can be a reference to a ZenML
            secret, `{{secret.key}}`, as any text in the settings.
        secrets_via: How the values of secrets travel to the job: by a key vault (`key-vault`), readable in its
            definition (`environment`), or by a key vault where that can be used (`auto`).
        key_vault: The key vault for that, by name, URL or ARM id; by default the workspace's own.
        cloud: Which of Azure's clouds; `AzureCloud`, the public one, by default.
        arm_endpoint: URL of another Azure Resource Manager, beginning with `https://`.

    Raises:
        AzureMLSettingsError: For an unknown or misspelt setting, a value that cannot be, a name that Azure
            refuses, a missing compute name, or two spellings of one setting that disagree.
    """

    instance_type: str | None = None
    instance_count: int | None = Field(default=None, ge=1)
    distribution: AzureMLDistribution | None = None
    job_tier: Literal["spot", "basic", "standard", "premium"] | None = None
    priority: Literal["low", "medium", "high"] | None = None
    locations: list[str] | None = None

    start_stopped_instance: bool = True
    ssh_public_key: str | None = None
    ssh_admin_username: str | None = None
    vnet_name: str | None = None
    subnet: str | None = None
    compute_identity: Literal["system_assigned"] | list[str] | None = None
    schedules: list[AzureMLComputeSchedule] | None = None
    delete_compute_after: bool = False
    quota_check: Literal["fail", "warn", "off"] = "fail"
    queue_timeout_minutes: float | None = Field(default=None, gt=0)
    fallback: list[dict[str, Any]] | None = None
    max_preemptions: int = Field(default=10, ge=0)
    checkpoints: bool | None = None
    max_unreachable_minutes: float = Field(default=30, gt=0)
    max_cancel_minutes: float = Field(default=10, gt=0)
    stop_check_seconds: float = Field(default=60, ge=0)
    stream_logs: bool = True

    display_name: str | None = None
    description: str | None = None
    tags: dict[str, str] | None = None
    experiment_name: str | None = None
    timeout_minutes: int | None = Field(default=None, gt=0)
    docker_args: str | list[str] | None = None
    identity: Literal["managed", "user", "aml_token"] | None = None
    identity_client_id: str | None = None
    services: dict[str, AzureMLJobService] | None = None
    environment_variables: dict[str, str] | None = None
    secrets_via: Literal["auto", "key-vault", "environment"] = "auto"
    key_vault: str | None = None

    cloud: Literal["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"] | None = None
    arm_endpoint: str | None = Field(default=None, pattern=r"^https://")

    if not TYPE_CHECKING:
        # ZenML's own would ask the server for a secret whenever a setting that refers to one is read, and give its
        # value to whatever reads it. See `submission/secret_references.py` for when that is done.
        __getattribute__ = object.__getattribute__

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        data = super()._prepare(data)
        if isinstance(data.get("fallback"), list):
            data["fallback"] = [
                checked_fallback(entry, number, cls.model_fields, data.get("compute_name"), AzureMLStepOperatorSettings)
                if isinstance(entry, Mapping)
                else entry  # which is refused for not being one
                for number, entry in enumerate(data["fallback"])
            ]
        return data


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


#: Settings whose values no message may show.
_MAY_BE_SECRET = frozenset({"environment_variables", "tenant_id", "service_principal_id", "service_principal_password"})

#: Settings whose values Azure's documentation, portal and SDK write in different cases.
_ANY_CASE = ("job_tier", "priority", "tier")


def _in_azures_case(data: dict[str, Any]) -> dict[str, Any]:
    """The values as the SDK takes them: `Spot` is `spot`, `LowPriority` is `low_priority`."""
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
    rules = {"compute_name": check_compute_name, "compute_target_name": check_compute_name, "shm_size": check_shm_size}
    for field, check in {**rules, "key_vault": check_key_vault}.items():
        value = values.get(field)
        if value is None or is_secret_reference(value):
            continue
        try:
            check(value)
        except NameRuleError as error:
            raise AzureMLSettingsError(f"`{field}={value!r}`: {error}") from error


def _explain(error: ValidationError) -> str:
    problems = []
    for detail in error.errors(include_url=False):
        name = ".".join(str(part) for part in detail["loc"]) or "settings"
        # Of a missing field, the "input" is everything around it, passwords too.
        tells = detail["type"] != "missing" and name.partition(".")[0] not in _MAY_BE_SECRET
        value = f"={detail['input']!r}" if tells and isinstance(detail["input"], str | int | float) else ""
        problems.append(f"`{name}{value}`: {detail['msg'][0].lower()}{detail['msg'][1:]}")
    return f"Azure ML step operator settings: {'; '.join(problems)}."
