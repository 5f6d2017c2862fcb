"""Rules of the failure classifier: the patterns that identify the known causes. Pure.

The patterns of Azure ML's messages, and those of other programs, come from messages that users have quoted in public.
The refusals of `azure/refusals/table.py` are causes too.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from zenml_azureml.azure.cli_hints import Address
from zenml_azureml.azure.failures.cause import Cause
from zenml_azureml.azure.failures.causes_before import (
    COMPUTE_FAILED,
    CONTAINER_FAILED,
    CONTAINER_SETUP_FAILED,
    DATA_NOT_FOUND,
    DATASTORE_MISSING,
    DOCKER_ARGUMENTS,
    IMAGE_ARCHITECTURE,
    IMAGE_BUILD_FAILED,
    IMAGE_NOT_FOUND,
    IMAGE_PULL_FAILED,
    IMAGE_PULL_REFUSED,
    INSTANCE_OF_ANOTHER_USER,
    INSTANCE_TYPE,
    MOUNT_FAILED,
    NO_CAPACITY,
    NO_GPU,
    NO_SUCH_COMPUTE,
    QUOTA,
    REGISTRY_RATE_LIMIT,
    REGISTRY_UNREACHABLE,
    TOO_MANY_NODES,
)
from zenml_azureml.azure.failures.causes_while import (
    COLLECTIVE_TIMEOUT,
    DISK_FULL,
    DUPLICATE_GPU,
    GPU_ARCHITECTURE,
    GPU_DRIVER,
    GPU_HARDWARE,
    GPU_OUT_OF_MEMORY,
    LIBRARY_MISSING,
    MODULE_MISSING,
    MPI_FAILED,
    NCCL,
    NETWORK_UNREACHABLE,
    NODE_FAILURE,
    OUT_OF_MEMORY,
    PACKAGE_MISSING,
    PREEMPTED,
    RENDEZVOUS,
    SECRETS_UNREAD,
    SHARED_MEMORY,
    TOO_MANY_FILES,
)
from zenml_azureml.azure.refusals.refusal import Refusal

#: Part of each message about a job that has ended itself.
ENDED_ITSELF = "it ended itself, because its step was over on the ZenML server"


def timeout(limit: timedelta, cost_limit: str = "") -> Cause:
    """Return the cause of a job that ran until its time limit.

    Args:
        limit: The time limit.
        cost_limit: The cost limit that the time limit comes from, e.g. `max_usd=5`; empty for none.
    """
    if cost_limit:
        return Cause(
            "cost-limit",
            f"it reached its cost limit (`{cost_limit}`) after {limit.total_seconds() / 60:.1f} minutes, and Azure "
            "cancelled it",
            f"Raise `{cost_limit.partition('=')[0]}`, or make the step cheaper, e.g. with spot capacity. To resume, "
            "the step must save its state in `zenml_azureml.checkpoint_dir()`.",
        )
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
        "No action is needed. The setting `stop_check_seconds=0` turns these checks off.",
    )


def of_refusal(refusal: Refusal, text: str) -> Cause:
    """Return the cause of a job that failed because of a refusal.

    Args:
        refusal: The refusal.
        text: The message that has it.
    """
    command = partial(_command_of, refusal, text) if refusal.command is not None else None
    return Cause(refusal.name, refusal.what, refusal.advice(text, None), command)


def _command_of(refusal: Refusal, text: str, address: Address) -> str:
    assert refusal.command is not None  # noqa: S101 - only such a refusal gets here
    return refusal.command(address, text)


#: The codes with which Azure ML calls a failure a fault of its own. `ServiceError` is quoted in
#: https://github.com/getindata/kedro-azureml/issues/6.
# Guess: the others are names that Azure's services use for the same.
SERVICE_FAULT_CODES = frozenset(
    {"ServiceError", "SystemError", "ServerError", "InternalError", "InternalServerError", "ServiceUnavailable"}
)

#: Patterns of Azure ML's own message; the first match counts.
SAID_BY_AZURE = (
    # A full disk can also fail the pull of an image.
    (r"no space left on device|disk full|disk is full", DISK_FULL),
    # https://github.com/docker/hub-feedback/issues/2429, https://github.com/Azure/azure-sdk-for-js/issues/34390.
    (r"toomanyrequests|pull rate limit", REGISTRY_RATE_LIMIT),
    (r"manifest unknown|manifest for \S+ not found|repository \S+ not found", IMAGE_NOT_FOUND),
    (r"no matching manifest for|does not match the (?:detected host|specified) platform", IMAGE_ARCHITECTURE),
    (r"exec format error|exec \S*execution-wrapper: no such file or directory", IMAGE_ARCHITECTURE),
    # https://github.com/NVIDIA/nvidia-docker/issues/1687, https://github.com/aime-team/aime-ml-containers/issues/9.
    (r"nvidia-container-cli: |could not select device driver|nvml error: driver not loaded", NO_GPU),
    # https://github.com/Azure/MachineLearningNotebooks/issues/1405.
    (r"FailedStartingContainerUserError|incorrect arguments or poorly formatted environment var", DOCKER_ARGUMENTS),
    # https://github.com/Azure/azureml-previews/issues/183, https://github.com/Azure/MachineLearningNotebooks/issues/1389.
    (r"JobContainerConfigFailed|attempting to execute 'containerSetup' task", CONTAINER_SETUP_FAILED),
    # https://github.com/Azure/azure-sdk-for-python/issues/19500.
    (r"FailedStartingContainer|unable to start docker container|failed to start the container", CONTAINER_FAILED),
    # Azure/azure-sdk-for-python#34501, getindata/kedro-azureml#6.
    (r"failed to execute command group with error", CONTAINER_FAILED),
    # Azure/azureml-examples#3463, Azure/MachineLearningNotebooks#1733, #1479; solliancenet/tech-immersion-data-ai#40.
    (r"(?s:pull.*image.*(?:no such host|dial tcp|i/o timeout))", REGISTRY_UNREACHABLE),
    # https://github.com/Azure/MachineLearningNotebooks/issues/1482.
    (r"(?s:/v2/.*(?:Client\.Timeout exceeded|context deadline exceeded|connection refused))", REGISTRY_UNREACHABLE),
    (r"could not authenticate with the docker registry|(?s:pull.*unauthorized)|pull access denied", IMAGE_PULL_REFUSED),
    (r"authentication failed for container registry|AcrRefreshTokenRetrievalError", IMAGE_PULL_REFUSED),
    (r"(?s:/v2/.*(?:unauthorized|denied))|requested access to the resource is denied", IMAGE_PULL_REFUSED),
    # https://github.com/MicrosoftDocs/pipelines-azureml/issues/10.
    (r"unauthorized error .*container registry", IMAGE_PULL_REFUSED),
    (r"failed to pull docker image|FailedPullingImage|unable to pull (?:docker )?image", IMAGE_PULL_FAILED),
    # Reasons in a pod's status, on an attached Kubernetes cluster.
    (r"ImagePullBackOff|ErrImagePull", IMAGE_PULL_FAILED),
    # https://github.com/MicrosoftDocs/pipelines-azureml/issues/31; before the build that it stands in.
    (r"not an owner or assigned user (?:to|of) the compute instance", INSTANCE_OF_ANOTHER_USER),
    # https://github.com/Azure-Samples/mlops-enterprise-template/issues/4,
    # https://github.com/Azure/azure-cli/issues/23608.
    (
        r"image build (?:run on compute )?failed|EnvironmentBuildFailed|failed building the environment",
        IMAGE_BUILD_FAILED,
    ),
    # https://github.com/Azure/azureml-examples/issues/2941.
    (r"could not find datastore|datastore\b.{0,80}\b(?:was not found|does not exist)", DATASTORE_MISSING),
    # https://github.com/MicrosoftLearning/mslearn-ai-fundamentals/issues/52,
    # https://github.com/MicrosoftDocs/azure-docs/issues/103519.
    (r"StreamAccess\.NotFound|StreamAccessException was caused by NotFoundException", DATA_NOT_FOUND),
    (r"DataAccessError\(NotFound|(?:Stream|Destination)Error\(NotFound", DATA_NOT_FOUND),
    # https://github.com/MicrosoftDocs/azure-docs/issues/39532.
    (r"(?:AZF|Blobfuse|NFS)\w*MountError|unable to mount (?:azure|blob|nfs)|could not mount azure", MOUNT_FAILED),
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
    # https://github.com/microsoft/azure-percept-advanced-development/issues/48.
    (r"libcuda\.so(?:\.1)?: cannot open", NO_GPU),
    (r"\.so[.\d]*: cannot open (?:shared )?object file", LIBRARY_MISSING),
)

#: Patterns of the last lines of a program's log.
SAID_BY_PROGRAM = (
    (r"zenml-azureml: .*(?:step's secrets|job's managed identity|The secret) ", SECRETS_UNREAD),
    (r"Error while finding module specification for 'zenml_azureml|No module named '?zenml_azureml\b", PACKAGE_MISSING),
    (r"(?:CUDA|HIP|GPU)\b.*out of memory|out of memory.*\b(?:CUDA|GPU)\b", GPU_OUT_OF_MEMORY),
    (r"CUDA_ERROR_OUT_OF_MEMORY|ResourceExhaustedError: .*OOM|torch\.(?:cuda\.)?OutOfMemoryError", GPU_OUT_OF_MEMORY),
    # https://github.com/aws/sagemaker-mxnet-inference-toolkit/issues/112, https://github.com/skypilot-org/skypilot/issues/449.
    (r"libcuda\.so(?:\.1)?: cannot open|found no nvidia driver on your system|no CUDA GPUs are available", NO_GPU),
    (r"no CUDA-capable device is detected|couldn't communicate with the NVIDIA driver", NO_GPU),
    # https://github.com/MicrosoftDocs/azure-docs/pull/10323.
    (r"CUDA driver version is insufficient for CUDA runtime|nvidia driver on your system is too old", GPU_DRIVER),
    # https://github.com/PrateekMunjal/TorchAL/issues/4.
    (r"no kernel image is available for execution|cudaErrorNoKernelImageForDevice", GPU_ARCHITECTURE),
    # https://github.com/vllm-project/vllm/issues/5222, https://github.com/nagadit/DeepFaceLab_Linux/issues/89.
    (r"uncorrectable ECC error|CUDA_ERROR_ECC_UNCORRECTABLE|gpu has fallen off the bus", GPU_HARDWARE),
    # https://github.com/Azure/azureml-examples/issues/675.
    (r"duplicate gpu detected", DUPLICATE_GPU),
    # https://github.com/pytorch/pytorch/issues/118369.
    (r"watchdog caught collective operation timeout", COLLECTIVE_TIMEOUT),
    # https://github.com/pytorch/pytorch/issues/107021, https://github.com/nvidia-cosmos/cosmos-rl/issues/681.
    (r"RendezvousConnectionError|RendezvousTimeoutError|client socket has timed out after .*connect", RENDEZVOUS),
    # https://github.com/NVIDIA/nccl/issues/1101 and /1059.
    (r"\bNCCL error\b|\bncclSystemError\b|\bnccl(?:Internal|UnhandledCuda|InvalidUsage|Remote)Error\b", NCCL),
    # https://github.com/deepspeedai/DeepSpeed/issues/935, https://github.com/kubeflow/mpi-operator/issues/152.
    (r"MPI_ERRORS_ARE_FATAL|\bORTE (?:was unable|has lost|daemon)|network routing requirements\)", MPI_FAILED),
    (r"out of shared memory|insufficient shared memory|No space left on device.*/dev/shm", SHARED_MEMORY),
    (r"No space left on device|Errno 28\b|Disk quota exceeded", DISK_FULL),
    (r"\bMemoryError\b|ArrayMemoryError|std::bad_alloc|Cannot allocate memory|can't allocate memory", OUT_OF_MEMORY),
    # https://github.com/kuleshov-group/caduceus/issues/58.
    (r"too many open files|Errno 24\b", TOO_MANY_FILES),
    # https://github.com/Azure/MachineLearningNotebooks/issues/317 and /1903,
    # https://github.com/Azure/azureml-assets/pull/3382.
    (
        r"\.so[.\d]*: cannot open (?:shared )?object file|version [`'](?:GLIBC|GLIBCXX|CXXABI)_\S+ not found",
        LIBRARY_MISSING,
    ),
    # https://github.com/MicrosoftDocs/azure-docs/issues/68288.
    (r"ModuleNotFoundError: |ImportError: No module named", MODULE_MISSING),
    # https://github.com/tomaarsen/SpanMarkerNER/issues/52, https://github.com/adithya-s-k/omniparse/issues/103.
    (r"temporary failure in name resolution|name or service not known|NameResolutionError", NETWORK_UNREACHABLE),
    (r"max retries exceeded with url|failed to establish a new connection", NETWORK_UNREACHABLE),
    (r"\boom-kill|\bOOMKilled\b|out of memory", OUT_OF_MEMORY),
)
