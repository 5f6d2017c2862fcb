"""Rules of the failure classifier: the known causes, the patterns that identify them, and next steps. Pure.

The patterns of Azure ML's messages come from messages that users have quoted in public. The patterns of the other
programs (the kernel, Docker, Python, CUDA) need no such source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from zenml_azureml.azure.cli_hints import Address, az_ml_workspace
from zenml_azureml.azure.sizes.quota import HOW_TO_GET_MORE

#: Part of each message about a job that has ended itself.
ENDED_ITSELF = "it ended itself, because its step was over on the ZenML server"


@dataclass(frozen=True)
class Cause:
    """Cause of a failed job.

    Attributes:
        name: Name of the kind of cause, e.g. `out-of-memory`; its row in docs/failures.md.
        what: The event, as a clause: `the node ran out of memory`.
        hint: The next steps, as sentences.
        command: Returns the command of the last step for a workspace; None if there is none.
    """

    name: str
    what: str
    hint: str
    command: Callable[[Address], str] | None = None

    def advice(self, address: Address | None) -> str:
        """Return the next steps, and the command on a line of its own.

        Args:
            address: The workspace; None if unknown.
        """
        if self.command is None or address is None:
            return self.hint
        return f"{self.hint}\n{self.command(address)}"


def _synchronize_keys(address: Address) -> str:
    return az_ml_workspace(address, "ml workspace sync-keys")


_MORE_MEMORY = (
    "Request more memory (`ResourceSettings(memory='64GB')`), or set a larger `instance_type` (serverless) or `size` "
    "(a new compute). Or change the step to use less memory."
)
_RUN_AGAIN = (
    "Run the pipeline again. With `@step(retry=StepRetryConfig(max_retries=2))`, ZenML retries the step automatically. "
    "To resume, the step must save its state outside the node."
)

IMAGE_PULL_REFUSED = Cause(
    "image-pull-refused",
    "its image could not be pulled, because the registry refused the compute",
    "Assign the role `AcrPull` on the registry to the identity of the compute. For a compute that the operator "
    "creates, set `compute_identity`. Or enable the registry's admin user, and after a change of its password "
    "synchronize the workspace's keys.",
    _synchronize_keys,
)
IMAGE_NOT_FOUND = Cause(
    "image-not-found",
    "its image is not in the registry",
    "Check the registry for the image that Azure names; it may have been deleted. Run the pipeline again without "
    "`build=`, so that ZenML builds and pushes it.",
)
REGISTRY_UNREACHABLE = Cause(
    "registry-unreachable",
    "its image could not be pulled, because the compute could not reach the registry",
    "Check the name of the registry, and that the compute's network can reach it (DNS, firewall, private endpoint).",
)
IMAGE_PULL_FAILED = Cause(
    "image-pull-failed",
    "its image could not be pulled",
    "Check that another machine can pull the image that Azure names, and that the identity of the compute has the role "
    "`AcrPull` on its registry.",
)
IMAGE_ARCHITECTURE = Cause(
    "image-architecture",
    "its container could not start; most likely the image was built for another architecture than the compute's",
    "Build the image for x86-64, which is not the default on an Apple silicon Mac: "
    "`DockerSettings(build_config={'build_options': {'platform': 'linux/amd64'}})`. The image also needs `/bin/sh`.",
)
CONTAINER_FAILED = Cause(
    "container-failed",
    "its container could not be started",
    "Check that the image runs on another machine (`docker run --rm IMAGE /bin/sh -c true`). Check the settings "
    "`docker_args` and `shm_size`.",
)
NO_SUCH_COMPUTE = Cause(
    "no-such-compute",
    "its compute does not exist any more",
    "Find out why it was deleted, and run the pipeline again. With `mode` and `compute_name`, the operator recreates "
    "it.",
)
COMPUTE_FAILED = Cause(
    "compute-failed",
    "its compute is in a failed state",
    "Check the compute's error in Studio. Delete the compute, and run the pipeline again to recreate it.",
)
TOO_MANY_NODES = Cause(
    "too-many-nodes",
    "it requested more nodes than its cluster may have",
    "Lower `instance_count`, or raise the cluster's maximum; for a new cluster that is `max_instances`.",
)
INSTANCE_TYPE = Cause(
    "instance-type",
    "its Kubernetes cluster has no such instance type, or no node with room for it",
    "Set `instance_type` to an instance type of the cluster (`kubectl get instancetypes`), or have the cluster's "
    "administrator create it, or lower its resources. Without `instance_type`, the cluster's default one applies.",
)
QUOTA = Cause(
    "quota",
    "the subscription's quota is too small for it",
    f"Request more quota ({HOW_TO_GET_MORE}), or use a size of another family, fewer nodes, or another region. "
    "Low-priority capacity (`job_tier='spot'`, `tier='low_priority'`) has a quota of its own.",
)
NO_CAPACITY = Cause(
    "no-capacity",
    "Azure had no free machines for it",
    "Add fallback targets with `fallback`: another size, another region, or dedicated instead of low-priority "
    "capacity. Or run the pipeline again later.",
)
PREEMPTED = Cause(
    "preempted",
    "Azure preempted its low-priority node",
    "It was resubmitted as often as `max_preemptions` allows. Raise that, or add a `fallback` with dedicated "
    "capacity: `[{'job_tier': 'standard'}]` on serverless compute, or the `compute_name` of a dedicated cluster. To "
    "resume, the step must save its state in `zenml_azureml.checkpoint_dir()`.",
)
NODE_FAILURE = Cause("node-failure", "its node failed", _RUN_AGAIN)
DISK_FULL = Cause(
    "disk-full",
    "the node's disk was full",
    "Change the step to write less, or to delete files that it no longer needs. Or set an `instance_type` (serverless) "
    "or `size` (a new compute) with a larger disk. On a compute instance, delete files manually.",
)
OUT_OF_MEMORY = Cause("out-of-memory", "it ran out of memory", _MORE_MEMORY)
KILLED = Cause("out-of-memory", "it was killed (SIGKILL), most likely because the node ran out of memory", _MORE_MEMORY)
GPU_OUT_OF_MEMORY = Cause(
    "gpu-out-of-memory",
    "its GPU ran out of memory",
    "Use smaller batches or a smaller model. Or set an `instance_type` (serverless) or `size` (a new compute) whose "
    "GPUs have more memory.",
)
SHARED_MEMORY = Cause(
    "shared-memory",
    "the shared memory of its container was used up",
    "Set a larger `shm_size`, e.g. `shm_size='16g'`, or fewer data loader workers.",
)
SECRETS_UNREAD = Cause(
    "secrets-unread",
    "its secrets could not be read from the key vault",
    "Follow the message in the log: most likely the identity of the compute needs the role `Key Vault Secrets User` on "
    "the vault. Until then, `secrets_via='environment'` puts the secrets into the job's definition.",
)
PACKAGE_MISSING = Cause(
    "package-missing",
    "its image does not contain zenml-azureml, which prepares the job for the step",
    "Install zenml-azureml in the image, or let ZenML build the image. Without the package, the job's secrets cannot "
    "be in a key vault: set `secrets_via='environment'`.",
)
SERVICE_FAULT = Cause(
    "service-fault",
    "Azure ML had an internal fault",
    f"{_RUN_AGAIN} If it fails again, check the job's `system_logs` in Studio and https://status.azure.com, and open a "
    "support request with the name of the job.",
)


def timeout(limit: timedelta) -> Cause:
    """Return the cause of a job that ran until its time limit.

    Args:
        limit: The time limit.
    """
    return Cause(
        "timeout",
        f"it ran for longer than its `timeout_minutes` of {limit.total_seconds() / 60:g}, and Azure cancelled it",
        "Raise `timeout_minutes`, or make the step faster, e.g. with a larger size.",
    )


def ended_itself(reason: str) -> Cause:
    """Return the cause of a job that ended itself because its step was over on ZenML's server.

    Args:
        reason: The reason why the step was over, as a clause; empty if unknown.
    """
    return Cause(
        "ended-itself",
        f"{ENDED_ITSELF}{f': {reason}' if reason else ''}",
        "You need to do nothing. The setting `stop_check_seconds=0` turns these checks off.",
    )


#: Patterns of Azure ML's own message; the first match counts.
SAID_BY_AZURE = (
    # A full disk can also fail the pull of an image.
    (r"no space left on device|disk full|disk is full", DISK_FULL),
    (r"manifest unknown|manifest for \S+ not found|repository \S+ not found", IMAGE_NOT_FOUND),
    (r"no matching manifest for|does not match the (?:detected host|specified) platform", IMAGE_ARCHITECTURE),
    (r"exec format error|exec \S*execution-wrapper: no such file or directory", IMAGE_ARCHITECTURE),
    # Azure/azure-sdk-for-python#34501, getindata/kedro-azureml#6.
    (r"failed to execute command group with error", CONTAINER_FAILED),
    # Azure/azureml-examples#3463, Azure/MachineLearningNotebooks#1733, #1479; solliancenet/tech-immersion-data-ai#40.
    (r"(?s:pull.*image.*(?:no such host|dial tcp|i/o timeout))", REGISTRY_UNREACHABLE),
    (r"could not authenticate with the docker registry|(?s:pull.*unauthorized)|pull access denied", IMAGE_PULL_REFUSED),
    (r"authentication failed for container registry|AcrRefreshTokenRetrievalError", IMAGE_PULL_REFUSED),
    (r"failed to pull docker image|FailedPullingImage|unable to pull (?:docker )?image", IMAGE_PULL_FAILED),
    # Azure/MachineLearningNotebooks#906, #1043; the message about nodes is in users' troubleshooting guides.
    (r"AzureMLCompute cluster \S+ does not exist|unknown compute target", NO_SUCH_COMPUTE),
    (r"is in failed state and thus not ready for runs", COMPUTE_FAILED),
    (r"requested \d+ nodes but AzureMLCompute cluster only has \d+", TOO_MANY_NODES),
    # Azure-Samples/azure-ml-federated-learning#334.
    (r"invalid instance type|instance type \S+ (?:was |is )?not found", INSTANCE_TYPE),
    # Azure/doAzureParallel#349: Azure Batch's message; Azure ML's nodes come from Azure Batch.
    (r"AllocationFailed|desired number of (?:low priority|dedicated) nodes could not be allocated", NO_CAPACITY),
    # MicrosoftLearning/mslearn-dp100#35, ansible-collections/azure#2209.
    (r"\bquota\b|CoreQuota", QUOTA),
    # Azure/MachineLearningNotebooks#1242, microsoft/MLOpsPython#346.
    (r"pre-?empt", PREEMPTED),
    # MicrosoftDocs/azure-docs#85756; Azure Batch, where the nodes come from, uses the term too.
    (r"unusable node|node\S* .*unusable", NODE_FAILURE),
)

#: Patterns of the last lines of a program's log.
SAID_BY_PROGRAM = (
    (r"zenml-azureml: .*(?:step's secrets|job's managed identity|The secret) ", SECRETS_UNREAD),
    (r"Error while finding module specification for 'zenml_azureml|No module named '?zenml_azureml\b", PACKAGE_MISSING),
    (r"(?:CUDA|HIP|GPU)\b.*out of memory|out of memory.*\b(?:CUDA|GPU)\b", GPU_OUT_OF_MEMORY),
    (r"CUDA_ERROR_OUT_OF_MEMORY|ResourceExhaustedError: .*OOM|torch\.(?:cuda\.)?OutOfMemoryError", GPU_OUT_OF_MEMORY),
    (r"out of shared memory|insufficient shared memory|No space left on device.*/dev/shm", SHARED_MEMORY),
    (r"No space left on device|Errno 28\b|Disk quota exceeded", DISK_FULL),
    (r"\bMemoryError\b|ArrayMemoryError|std::bad_alloc|Cannot allocate memory|can't allocate memory", OUT_OF_MEMORY),
    (r"\boom-kill|\bOOMKilled\b|out of memory", OUT_OF_MEMORY),
)
