"""The causes of failure that can be recognised, the words they are recognised by, and what to do about each. Pure.

What Azure ML says is matched as somebody has quoted it in public. Words that nobody has quoted are not looked for, but
for those of the programs beside it: the kernel, Docker, Python, CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from zenml_azureml.azure.sizes.quota import HOW_TO_GET_MORE

#: What each account of a job says that has ended itself.
ENDED_ITSELF = "it ended itself, because its step was over on the ZenML server"


@dataclass(frozen=True)
class Cause:
    """Why a job failed.

    Attributes:
        name: Of the kind of cause, e.g. `out-of-memory`; the heading in docs/failures.md.
        what: What happened, as half a sentence: `the node ran out of memory`.
        hint: What to do next, as sentences.
    """

    name: str
    what: str
    hint: str


_MORE_MEMORY = (
    "Ask for more memory (`ResourceSettings(memory='64GB')`), or set a larger `instance_type` (serverless) or `size` "
    "(a compute to be created); or let the step hold less at a time."
)
_RUN_AGAIN = (
    "Run the pipeline again; with `@step(retry=StepRetryConfig(max_retries=2))` the step is submitted again by itself. "
    "What it is to go on from must be saved outside the node."
)

IMAGE_PULL_REFUSED = Cause(
    "image-pull-refused",
    "its image could not be pulled, because the registry refused the compute",
    "Give the identity of the compute the role `AcrPull` on the registry; a compute that this operator is to create "
    "gets an identity by `compute_identity`. Or switch on the registry's admin user, and after a change of its "
    "password run `az ml workspace sync-keys`.",
)
IMAGE_NOT_FOUND = Cause(
    "image-not-found",
    "its image is not in the registry",
    "Check the registry for the image that Azure names; it may have been deleted since it was built. Run the pipeline "
    "again without `build=`, so that ZenML builds and pushes it.",
)
REGISTRY_UNREACHABLE = Cause(
    "registry-unreachable",
    "its image could not be pulled, because the compute could not reach the registry",
    "Check the name of the registry, and that the compute's network leads to it (DNS, firewall, private endpoint).",
)
IMAGE_PULL_FAILED = Cause(
    "image-pull-failed",
    "its image could not be pulled",
    "Check that the image that Azure names can be pulled from elsewhere, and that the identity of the compute has the "
    "role `AcrPull` on its registry.",
)
IMAGE_ARCHITECTURE = Cause(
    "image-architecture",
    "its container could not start; most likely the image was built for another architecture than the compute's",
    "Build it for x86-64, which a build on an Apple silicon Mac is not by default: "
    "`DockerSettings(build_config={'build_options': {'platform': 'linux/amd64'}})`. The image also needs `/bin/sh`.",
)
CONTAINER_FAILED = Cause(
    "container-failed",
    "its container could not be started",
    "Check that the image runs elsewhere (`docker run --rm IMAGE /bin/sh -c true`), and the settings `docker_args` and "
    "`shm_size`.",
)
NO_SUCH_COMPUTE = Cause(
    "no-such-compute",
    "its compute does not exist any more",
    "Find out who deletes it, and run the pipeline again: with `mode` and `compute_name` the operator creates it anew.",
)
COMPUTE_FAILED = Cause(
    "compute-failed",
    "its compute is in a failed state",
    "Look in Studio at what the compute says; delete it, and run the pipeline again to have it created anew.",
)
TOO_MANY_NODES = Cause(
    "too-many-nodes",
    "it asked for more nodes than its cluster may have",
    "Lower `instance_count`, or raise the cluster's maximum; for a cluster to be created that is `max_instances`.",
)
QUOTA = Cause(
    "quota",
    "the subscription's quota is too small for it",
    f"Ask for more quota ({HOW_TO_GET_MORE}), or use a size of another family, fewer nodes, or another region; "
    "low-priority capacity (`job_tier='spot'`, `tier='low_priority'`) has a quota of its own.",
)
NO_CAPACITY = Cause(
    "no-capacity",
    "Azure had no free machines for it",
    "Name further places to try in `fallback`: another size, another region, dedicated instead of low-priority "
    "capacity; or run the pipeline again later.",
)
PREEMPTED = Cause(
    "preempted",
    "Azure took its low-priority node away",
    "It was submitted again as often as `max_preemptions` allows. Raise that, or name capacity that stays in "
    "`fallback`: `[{'job_tier': 'standard'}]` on serverless compute, a dedicated cluster by its `compute_name`. What "
    "the step is to go on from must be saved in `zenml_azureml.checkpoint_dir()`.",
)
NODE_FAILURE = Cause("node-failure", "the node that it ran on failed", _RUN_AGAIN)
DISK_FULL = Cause(
    "disk-full",
    "the node's disk was full",
    "Let the step write less, or delete what it does not need any more; or set an `instance_type` (serverless) or "
    "`size` (a compute to be created) with a larger disk. On a compute instance, clear its disk by hand.",
)
OUT_OF_MEMORY = Cause("out-of-memory", "it ran out of memory", _MORE_MEMORY)
KILLED = Cause("out-of-memory", "it was killed (SIGKILL), most likely because the node ran out of memory", _MORE_MEMORY)
GPU_OUT_OF_MEMORY = Cause(
    "gpu-out-of-memory",
    "its GPU ran out of memory",
    "Use smaller batches or a smaller model; or set an `instance_type` (serverless) or `size` (a compute to be "
    "created) whose GPUs have more memory.",
)
SHARED_MEMORY = Cause(
    "shared-memory",
    "the shared memory of its container was used up",
    "Set a larger `shm_size`, e.g. `shm_size='16g'`, or fewer data loader workers.",
)
SECRETS_UNREAD = Cause(
    "secrets-unread",
    "its secrets could not be read from the key vault",
    "Do what the log says: most likely the identity of the compute needs the role `Key Vault Secrets User` at the "
    "vault. Until then, `secrets_via='environment'` has them in the job's definition.",
)
PACKAGE_MISSING = Cause(
    "package-missing",
    "its image does not contain zenml-azureml, which prepares the job for the step",
    "Install zenml-azureml in the image, or have ZenML build it. Without the package a job's secrets cannot be in a "
    "key vault: set `secrets_via='environment'`.",
)
SERVICE_FAULT = Cause(
    "service-fault",
    "Azure ML failed it by a fault of its own",
    f"{_RUN_AGAIN} If it stays, see the job's `system_logs` in Studio and https://status.azure.com, and open a support "
    "request with the name of the job.",
)


def timeout(limit: timedelta) -> Cause:
    """It has used up its time.

    Args:
        limit: The time.
    """
    return Cause(
        "timeout",
        f"it ran for longer than its `timeout_minutes` of {limit.total_seconds() / 60:g}, and Azure ended it",
        "Raise `timeout_minutes`, or make the step faster, e.g. by a larger size.",
    )


def ended_itself(reason: str) -> Cause:
    """It has ended itself, because its step was over on ZenML's server.

    Args:
        reason: Why the step was over, as a clause; empty if unknown.
    """
    return Cause(
        "ended-itself",
        f"{ENDED_ITSELF}{f': {reason}' if reason else ''}",
        "Nothing has to be done. The setting `stop_check_seconds=0` switches these checks off.",
    )


#: By what Azure ML says itself; the first that is found counts.
SAID_BY_AZURE = (
    # A full disk shows at the pull of an image as at anything else.
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
    # Azure/MachineLearningNotebooks#906, #1043; the words on nodes are in users' troubleshooting guides.
    (r"AzureMLCompute cluster \S+ does not exist|unknown compute target", NO_SUCH_COMPUTE),
    (r"is in failed state and thus not ready for runs", COMPUTE_FAILED),
    (r"requested \d+ nodes but AzureMLCompute cluster only has \d+", TOO_MANY_NODES),
    # Azure/doAzureParallel#349: Azure Batch's word, of which Azure ML's nodes are.
    (r"AllocationFailed|desired number of (?:low priority|dedicated) nodes could not be allocated", NO_CAPACITY),
    # MicrosoftLearning/mslearn-dp100#35, ansible-collections/azure#2209.
    (r"\bquota\b|CoreQuota", QUOTA),
    # Azure/MachineLearningNotebooks#1242, microsoft/MLOpsPython#346.
    (r"pre-?empt", PREEMPTED),
    # MicrosoftDocs/azure-docs#85756; Azure Batch, which the nodes are of, has the word too.
    (r"unusable node|node\S* .*unusable", NODE_FAILURE),
)

#: By what the program says at its end.
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
