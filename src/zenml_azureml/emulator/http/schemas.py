"""Schemas of the bodies of requests; their handlers interpret the items.

Names, types and patterns are those of Microsoft's description of the API (2024-04-01). An item that is null counts as
missing, and one that is not listed is left alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from zenml_azureml.emulator.http.bounds import MOST_NODES, without_nul

Text = Annotated[str, AfterValidator(without_nul)]
_Object = dict[str, Any]
#: Source of the bounds of a run: Microsoft, "Manage and increase quotas" (50 tags and 50 properties, and so on).
Tags = dict[Annotated[Text, Field(min_length=1, max_length=100)], Annotated[Text, Field(max_length=1_000)] | None]
MOST_TAGS = 50
_FewTags = Annotated[Tags, Field(max_length=MOST_TAGS)]
#: A name that is a folder of the job too. Guess: which names Azure takes.
_ItemName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$")]
_VariableName = Annotated[str, Field(pattern=r"^[^=\x00]{1,1024}$")]
_Count = Annotated[int, Field(ge=1, le=MOST_NODES)]


class Schema(BaseModel):
    """The base of all schemas."""

    # Built when they are first used, and not while the emulator starts.
    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)


class _Input(Schema):
    job_input_type: str = Field(alias="jobInputType")
    description: Text | None = None
    uri: Text | None = None
    mode: str | None = None
    value: Annotated[str | int | float | bool | None, AfterValidator(without_nul)] = None


class _Output(Schema):
    job_output_type: str = Field(alias="jobOutputType")
    description: Text | None = None
    uri: Text | None = None
    mode: str | None = None
    asset_name: str | None = Field(None, alias="assetName")
    asset_version: str | None = Field(None, alias="assetVersion")
    auto_delete_setting: _Object | None = Field(None, alias="autoDeleteSetting")


class _Resources(Schema):
    instance_count: _Count | None = Field(None, alias="instanceCount")
    max_instance_count: _Count | None = Field(None, alias="maxInstanceCount")
    instance_type: Text | None = Field(None, alias="instanceType")
    locations: list[Text] | None = None
    properties: _Object | None = None
    shm_size: Annotated[str, Field(pattern=r"^0*[1-9][0-9]{0,8}[bBkKmMgG]$")] | None = Field(None, alias="shmSize")
    docker_args: Text | None = Field(None, alias="dockerArgs")


class _Distribution(Schema):
    distribution_type: str = Field(alias="distributionType")
    process_count: _Count | None = Field(None, alias="processCountPerInstance")
    worker_count: _Count | None = Field(None, alias="workerCount")
    parameter_server_count: Annotated[int, Field(ge=0, le=MOST_NODES)] | None = Field(
        None, alias="parameterServerCount"
    )


class _Limits(Schema):
    timeout: str | None = None


class _Service(Schema):
    job_service_type: str | None = Field(None, alias="jobServiceType")
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    endpoint: str | None = None
    properties: _Object | None = None
    nodes: _Object | None = None


class _Identity(Schema):
    identity_type: str | None = Field(None, alias="identityType")


class _QueueSettings(Schema):
    job_tier: str | None = Field(None, alias="jobTier")
    priority: int | None = None


class JobSchema(Schema):
    """`properties` of a job's PUT."""

    job_type: str | None = Field(None, alias="jobType")
    description: Annotated[Text, Field(max_length=5_000)] | None = None
    tags: _FewTags | None = None
    properties: _FewTags | None = None
    display_name: Annotated[Text, Field(max_length=256)] | None = Field(None, alias="displayName")
    experiment_name: str | None = Field(None, alias="experimentName")
    services: dict[str, _Service] | None = None
    compute_id: Text | None = Field(None, alias="computeId")
    is_archived: bool | None = Field(None, alias="isArchived")
    identity: _Identity | None = None
    component_id: Text | None = Field(None, alias="componentId")
    notification_setting: _Object | None = Field(None, alias="notificationSetting")
    secrets_configuration: _Object | None = Field(None, alias="secretsConfiguration")
    resources: _Resources | None = None
    code_id: Text | None = Field(None, alias="codeId")
    command: Text | None = None
    environment_id: Text | None = Field(None, alias="environmentId")
    inputs: dict[_ItemName, _Input] | None = None
    outputs: dict[_ItemName, _Output] | None = None
    distribution: _Distribution | None = None
    autologger_settings: _Object | None = Field(None, alias="autologgerSettings")
    limits: _Limits | None = None
    environment_variables: dict[_VariableName, Text] | None = Field(None, alias="environmentVariables")
    queue_settings: _QueueSettings | None = Field(None, alias="queueSettings")


class RunChangeSchema(Schema):
    """The body of a run's PATCH."""

    description: Annotated[Text, Field(max_length=5_000)] | None = None
    tags: _FewTags | None = None
    properties: _FewTags | None = None
    display_name: Annotated[Text, Field(max_length=256)] | None = Field(None, alias="displayName")
    hidden: bool | None = None


class _ArtifactPath(Schema):
    path: Annotated[Text, Field(min_length=1, max_length=1_024)]


class ArtifactPathsSchema(Schema):
    """The body of the request for new artifacts of a run."""

    paths: Annotated[list[_ArtifactPath], Field(max_length=1_000)]


class EnvironmentSchema(Schema):
    """`properties` of an environment version's PUT."""

    description: Text | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    is_archived: bool | None = Field(None, alias="isArchived")
    is_anonymous: bool | None = Field(None, alias="isAnonymous")
    image: Text | None = None
    build: _Object | None = None
    # Guess: its maximum length. Parsing it takes seconds per megabyte.
    conda_file: Annotated[str, Field(max_length=256 * 1024)] | None = Field(None, alias="condaFile")
    os_type: str | None = Field(None, alias="osType")


class ContainerSchema(Schema):
    """`properties` of an environment's PUT."""

    description: Text | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    is_archived: bool | None = Field(None, alias="isArchived")


class _Credentials(Schema):
    credentials_type: Text | None = Field(None, alias="credentialsType")
    secrets: _Object | None = None


class DatastoreSchema(Schema):
    """`properties` of a datastore's PUT."""

    description: Text | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    credentials: _Credentials | None = None
    datastore_type: Text | None = Field(None, alias="datastoreType")
    account_name: Text | None = Field(None, alias="accountName")
    container_name: Text | None = Field(None, alias="containerName")
    share_name: Text | None = Field(None, alias="fileShareName")
    filesystem: Text | None = None
    store_name: Text | None = Field(None, alias="storeName")
    endpoint: Text | None = None
    protocol: Text | None = None
    identity: Text | None = Field(None, alias="serviceDataAccessAuthIdentity")


class _ScaleSettings(Schema):
    max_node_count: Annotated[int, Field(le=MOST_NODES)] | None = Field(None, alias="maxNodeCount")
    min_node_count: Annotated[int, Field(le=MOST_NODES)] | None = Field(None, alias="minNodeCount")
    idle_time: Annotated[str, Field(max_length=64)] | None = Field(None, alias="nodeIdleTimeBeforeScaleDown")


class _SshSettings(Schema):
    ssh_public_access: str | None = Field(None, alias="sshPublicAccess")


class _ComputeProperties(Schema):
    vm_size: str | None = Field(None, alias="vmSize")
    vm_priority: str | None = Field(None, alias="vmPriority")
    scale_settings: _ScaleSettings | None = Field(None, alias="scaleSettings")
    ssh_settings: _SshSettings | None = Field(None, alias="sshSettings")
    user_account_credentials: _Object | None = Field(None, alias="userAccountCredentials")
    subnet: _Object | None = None
    schedules: _Object | None = None
    idle_time: str | None = Field(None, alias="idleTimeBeforeShutdown")
    namespace: Text | None = None
    default_instance_type: Text | None = Field(None, alias="defaultInstanceType")
    instance_types: dict[_ItemName, _Object] | None = Field(None, alias="instanceTypes")


class _Compute(Schema):
    compute_type: str | None = Field(None, alias="computeType")
    description: Text | None = None
    disable_local_auth: bool | None = Field(None, alias="disableLocalAuth")
    resource_id: Text | None = Field(None, alias="resourceId")
    properties: _ComputeProperties | None = None


class _ComputeIdentity(Schema):
    type: str
    user_assigned: dict[Text, _Object | None] | None = Field(None, alias="userAssignedIdentities")


class ComputeSchema(Schema):
    """The body of a compute's PUT or PATCH."""

    location: Text | None = None
    tags: Tags | None = None
    identity: _ComputeIdentity | None = None
    properties: _Compute | None = None


class _WorkspaceIdentity(Schema):
    user_assigned: dict[Text, _Object | None] | None = Field(None, alias="userAssignedIdentities")


class _Workspace(Schema):
    primary: Text | None = Field(None, alias="primaryUserAssignedIdentity")
    registry: Text | None = Field(None, alias="containerRegistry")
    shown_name: Text | None = Field(None, alias="friendlyName")
    description: str | None = None
    image_build_compute: Text | None = Field(None, alias="imageBuildCompute")
    application_insights: Text | None = Field(None, alias="applicationInsights")
    public_network_access: Literal["Enabled", "Disabled"] | None = Field(None, alias="publicNetworkAccess")


class WorkspaceSchema(Schema):
    """The body of a workspace's PATCH."""

    tags: dict[str, str] | None = None
    properties: _Workspace | None = None
    identity: _WorkspaceIdentity | None = None


class DiagnoseSchema(Schema):
    """The body of a request to check a workspace."""

    value: dict[str, _Object | None] | None = None


class _Attributes(Schema):
    enabled: bool | None = None
    expires: int | None = Field(None, alias="exp")
    not_before: int | None = Field(None, alias="nbf")


class SecretSchema(Schema):
    """The body of a secret's PUT or PATCH."""

    value: str | None = None
    content_type: Annotated[str, Field(max_length=255)] | None = Field(None, alias="contentType")
    tags: dict[str, str] | None = None
    attributes: _Attributes | None = None
