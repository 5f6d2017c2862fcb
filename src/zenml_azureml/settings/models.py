"""Models of the settings, with the values that they accept.

`plan.py` translates the settings into requests. Both modules are pure: they ask nothing of ZenML's server or of Azure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    field_validator,
)
from zenml.config.base_settings import BaseSettings

from zenml_azureml.secrets.redacted_model import RedactedModel
from zenml_azureml.settings.compute import AzureMLComputeSettings
from zenml_azureml.settings.data import AzureMLDataInput, AzureMLDataOutput, checked_inputs, checked_outputs
from zenml_azureml.settings.distribution import AzureMLDistribution
from zenml_azureml.settings.fallback import checked_fallback
from zenml_azureml.settings.schedules import AzureMLComputeSchedule


class AzureMLJobService(RedactedModel):
    """An interactive service in a running job.

    Attributes:
        type: Kind of the service.
        ssh_public_keys: Public keys that can log in, for `ssh`.
        log_dir: Folder with the logs to show, for `tensor_board`.
        port: Port in the container; by default Azure selects it.
        nodes: Nodes that run the service: `all`, or by default the first one only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["ssh", "jupyter_lab", "tensor_board", "vs_code"]
    ssh_public_keys: str | None = None
    log_dir: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    nodes: Literal["all"] | None = None

    @field_validator("ssh_public_keys")
    @classmethod
    def _check_keys(cls, value: str | None) -> str | None:
        if value is not None and "PRIVATE KEY" in value:
            raise ValueError("this is a private key, which must not leave your machine; use the public key, `*.pub`")
        return value


class AzureMLStepOperatorSettings(AzureMLComputeSettings):
    """The settings of a step on Azure ML.

    In addition to the settings of `AzureMLComputeSettings`:

    Attributes:
        instance_type: VM size of serverless compute, e.g. `Standard_DS3_v2`; or an instance type of the attached
            Kubernetes cluster that `compute_target_name` names.
        instance_count: Number of nodes of the job.
        distribution: Processes of a job on several nodes, e.g. `{"type": "pytorch", "process_count_per_instance": 4}`.
            Each process runs the step; the first one reports to ZenML.
        gpu_memory_gb: Minimum memory of each GPU in GB, to choose a VM size by. With it, a part of a GPU with so much
            memory can be chosen.
        gpu_class_sizes: VM size for each capacity class that `ResourceSettings(gpu_class=...)` can name, e.g.
            `{"h100-reserved": "Standard_NC40ads_H100_v5"}`; on attached Kubernetes clusters, the instance type.
        job_tier: Tier of serverless capacity: `standard` or `spot`. Azure ML has the others on virtual clusters only.
        priority: Priority in the queue of a virtual cluster; serverless compute has no priorities.
        locations: Azure regions in which serverless compute can run the job.
        start_stopped_instance: True to start a stopped compute instance; False to fail the step instead.
        ssh_public_key: Public key that can log in to a new compute.
        ssh_admin_username: User name for SSH on a new compute cluster.
        vnet_name: Virtual network of a new compute.
        subnet: Subnet of a new compute, by name or ARM id.
        compute_identity: Identity of a new compute: `system_assigned`, or a list of ARM ids of user-assigned
            identities.
        schedules: Start and stop schedules of a new compute instance.
        delete_compute_after: True to delete a compute that this step created when the step has ended.
        quota_check: What to do if quota is insufficient: `fail` the step, `warn` and submit anyway, or turn the check
            `off`.
        queue_timeout_minutes: Minutes that a job may be queued before the operator cancels it.
        fallback: Fallback targets, tried in order if Azure has no capacity, preempts the job, or keeps it queued longer
            than `queue_timeout_minutes`. Each entry overrides the step's settings.
        max_preemptions: Number of times that a preempted job is resubmitted to the same target if no fallback is left.
        checkpoints: True to give the job a checkpoint folder that outlives it, `zenml_azureml.checkpoint_dir()`. The
            default is True with `fallback`, `job_tier="spot"` or `tier="low_priority"`.
        max_unreachable_minutes: Minutes for which requests are retried while Azure or ZenML's server is unreachable,
            before the step fails.
        max_cancel_minutes: Minutes to wait for the end of an earlier job of the step, after a retry or a restart of the
            orchestrator. If the job is still unfinished, the step fails rather than run beside it.
        stop_check_seconds: Average interval in seconds at which the running job checks if its step is over on the ZenML
            server, so that it stops itself; 0 for no checks.
        hold_on_failure_minutes: Minutes for which the job keeps its container after the step's function has failed, so
            that you can look into it. The step fails at once, and retries do not wait.
        sampling: True to sample the use of CPU, memory, disk, network and GPUs in the job, for the step's metadata and
            for advice on its VM size.
        stream_logs: True to show the job's log, and its status while it is queued, during the step.
        metrics_as_metadata: True to copy the last value of each MLflow metric of the job's run in Azure ML to the
            step's metadata, when the job has ended.
        display_name: Name of the job in Studio; by default the step and the run.
        description: Description of the job in Studio.
        tags: Tags of the job, in addition to those with pipeline, run and step.
        experiment_name: Experiment of the job; by default the pipeline.
        timeout_minutes: Minutes after which Azure cancels the running job.
        max_usd: Limit of the step's cost in US dollars, over all jobs of the step in its run. Azure ends a job that
            reaches it, and the operator submits no job for which less than five minutes are left.
        max_usd_per_run: The same for all jobs of the run in the workspace. Set it for the pipeline, not for one step.
        unknown_price: What to do about a job with a cost limit whose price is unknown: `warn` and submit it without
            the limit, or `fail` the step.
        docker_args: Further arguments of `docker run`, e.g. `--ipc=host`, as a text or a list. Environment variables
            among them are added to `environment_variables`, which take precedence.
        identity: Identity the job runs as: the compute's managed identity, the submitting user, or the job's own Azure
            ML token.
        identity_client_id: Client id of a user-assigned managed identity; the job finds it in AZURE_CLIENT_ID.
        services: Interactive services in the job, by a name of your choice.
        inputs: Data on Azure that the job reads, by names of your choice, `zenml_azureml.input_path(name)`, e.g.
            `{"train": "azureml:images:3"}`. A text is short for the `path` of an input.
        outputs: Data on Azure that the job writes, by names of your choice, `zenml_azureml.output_path(name)`, e.g.
            `{"model": {"register_as": "my-model-files"}}`.
        environment_variables: Environment variables of the step's process. A value can be a reference to a ZenML
            secret, `{{secret.key}}`, like any text in the settings.
        secrets_via: Source of secret values for the job: a key vault (`key-vault`), the job's definition, where they
            are readable (`environment`), or a key vault if one is usable (`auto`).
        key_vault: Key vault for secrets, by name, URL or ARM id; by default the key vault of the workspace.
        cloud: Azure cloud; by default `AzureCloud`, the public one.
        arm_endpoint: URL of a custom Azure Resource Manager endpoint, which begins with `https://`.

    Raises:
        AzureMLSettingsError: For an unknown or misspelled setting, an invalid value, a name that Azure refuses, a
            missing compute name, or two aliases of one setting with different values.
    """

    instance_type: str | None = None
    instance_count: int | None = Field(default=None, ge=1)
    distribution: AzureMLDistribution | None = None
    gpu_memory_gb: float | None = Field(default=None, gt=0)
    gpu_class_sizes: dict[str, str] | None = None
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
    hold_on_failure_minutes: float | None = Field(default=None, gt=0, le=10_080)
    sampling: bool = True
    stream_logs: bool = True
    metrics_as_metadata: bool = False

    display_name: str | None = None
    description: str | None = None
    tags: dict[str, str] | None = None
    experiment_name: str | None = None
    timeout_minutes: int | None = Field(default=None, gt=0)
    max_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_usd_per_run: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    unknown_price: Literal["warn", "fail"] = "warn"
    docker_args: str | list[str] | None = None
    identity: Literal["managed", "user", "aml_token"] | None = None
    identity_client_id: str | None = None
    services: dict[str, AzureMLJobService] | None = None
    inputs: dict[str, AzureMLDataInput] | None = None
    outputs: dict[str, AzureMLDataOutput] | None = None
    environment_variables: dict[str, str] | None = None
    secrets_via: Literal["auto", "key-vault", "environment"] = "auto"
    key_vault: str | None = None

    cloud: Literal["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"] | None = None
    arm_endpoint: str | None = Field(default=None, pattern=r"^https://")

    if not TYPE_CHECKING:
        # ZenML's own method would request a secret from the server whenever a setting that refers to it is read, and
        # return its value to any reader. `submission/secret_references.py` reads secrets at the submit only.
        __getattribute__ = object.__getattribute__

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        data = super()._prepare(data)
        for setting, check in (("inputs", checked_inputs), ("outputs", checked_outputs)):
            if isinstance(data.get(setting), Mapping):
                data[setting] = check(data[setting])
        if isinstance(data.get("fallback"), list):
            data["fallback"] = [
                checked_fallback(entry, number, cls.model_fields, data.get("compute_name"), AzureMLStepOperatorSettings)
                if isinstance(entry, Mapping)
                else entry  # pydantic refuses it
                for number, entry in enumerate(data["fallback"])
            ]
        return data


def step_settings(settings: Mapping[str, BaseSettings], operator_name: str) -> dict[str, Any]:
    """Return the settings that a step has for a step operator.

    Args:
        settings: All settings of the step, as ZenML stores them.
        operator_name: The step operator.

    Returns:
        The settings that were set; empty if there are none. ZenML stores them by the operator's name; older versions
        stored them by flavor.
    """
    for key in (f"step_operator:{operator_name}", "step_operator.azureml"):
        if key in settings:
            return {name: value for name, value in settings[key].model_dump().items() if value is not None}
    return {}
