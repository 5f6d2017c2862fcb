"""The causes of failures before a job runs: images, containers, computes, data. Pure."""

from __future__ import annotations

from zenml_azureml.azure.cli_hints import Address, az_ml_workspace
from zenml_azureml.azure.failures.cause import Cause
from zenml_azureml.azure.sizes.quota import HOW_TO_GET_MORE


def _synchronize_keys(address: Address) -> str:
    return az_ml_workspace(address, "ml workspace sync-keys")


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
REGISTRY_RATE_LIMIT = Cause(
    "registry-rate-limit",
    "its image could not be pulled, because the registry limits the number of pulls",
    "Run the pipeline again later. To avoid it, copy the image (or the base image) to the container registry of the "
    "stack, or give the workspace a connection of the category `ContainerRegistry` with a login for the registry, "
    "which raises the limit.",
)
IMAGE_BUILD_FAILED = Cause(
    "image-build-failed",
    "Azure ML could not build the image of its environment",
    "Read the log of the build (in Studio, `20_image_build_log.txt` of the job, or the environment's page). Images "
    "that ZenML builds need no build by Azure ML: check if the job names another environment.",
)
CONTAINER_SETUP_FAILED = Cause(
    "container-setup-failed",
    "Azure ML could not prepare its container",
    "Azure ML runs commands in the container before the step. The image needs `/bin/sh`, and a user that may write to "
    "`/tmp` and to its home folder: check its `USER`, `ENTRYPOINT` and base image.",
)
DOCKER_ARGUMENTS = Cause(
    "docker-arguments",
    "Docker did not accept the arguments of its container",
    "Correct the settings `docker_args`, `shm_size` and `environment_variables` that Azure names; "
    "`zenml-azureml spec` shows all that is sent.",
)
INSTANCE_OF_ANOTHER_USER = Cause(
    "instance-of-another-user",
    "its compute instance belongs to another user",
    "Only the user to whom an instance is assigned can run jobs on it. Use an instance of the user or principal that "
    "submits the job, a compute cluster, or serverless compute.",
)
DATA_NOT_FOUND = Cause(
    "data-not-found",
    "data that it reads does not exist in the storage",
    "Check the path, the container and the datastore that Azure names. Paths are case-sensitive.",
)
DATASTORE_MISSING = Cause(
    "datastore-missing",
    "a datastore that it names does not exist in the workspace",
    "Correct the name, or create the datastore in Studio (*Data*, *Datastores*).",
)
MOUNT_FAILED = Cause(
    "mount-failed",
    "its storage could not be mounted",
    "Check the datastore's credentials (keys of the storage account may have changed), the role of the compute's "
    "identity on the storage account, and that the compute's network can reach it.",
)
NO_GPU = Cause(
    "no-gpu",
    "its node has no GPU that the container can use",
    "Request a size with a GPU (`ResourceSettings(gpu_count=1)`, or a GPU size in `instance_type` or `size`). On a GPU "
    "size, do not override the driver: the image must not contain a `libcuda.so` of its own.",
)
