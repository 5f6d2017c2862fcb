"""The causes of failures while a job runs: its node, memory, GPUs, processes, packages, network. Pure."""

from __future__ import annotations

from zenml_azureml.azure.failures.cause import MORE_MEMORY, RUN_AGAIN, Cause

PREEMPTED = Cause(
    "preempted",
    "Azure preempted its low-priority node",
    "It was resubmitted as often as `max_preemptions` allows. Raise that, or add a `fallback` with dedicated "
    "capacity: `[{'job_tier': 'standard'}]` on serverless compute, or the `compute_name` of a dedicated cluster. To "
    "resume, the step must save its state in `zenml_azureml.checkpoint_dir()`.",
)
NODE_FAILURE = Cause("node-failure", "its node failed", RUN_AGAIN)
DISK_FULL = Cause(
    "disk-full",
    "the node's disk was full",
    "Change the step to write less, or to delete files that it no longer needs. Or set an `instance_type` (serverless) "
    "or `size` (a new compute) with a larger disk. On a compute instance, delete files manually.",
)
OUT_OF_MEMORY = Cause("out-of-memory", "it ran out of memory", MORE_MEMORY)
KILLED = Cause("out-of-memory", "it was killed (SIGKILL), most likely because the node ran out of memory", MORE_MEMORY)
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
    f"{RUN_AGAIN} If it fails again, check the job's `system_logs` in Studio and https://status.azure.com, and open a "
    "support request with the name of the job.",
)
GPU_DRIVER = Cause(
    "gpu-driver",
    "the GPU driver of its node is older than the CUDA version of its image",
    "Use an image (or a build of torch, TensorFlow or JAX) for an older CUDA version. Azure ML installs the driver of "
    "the node: recreate an old compute to get a newer one.",
)
GPU_ARCHITECTURE = Cause(
    "gpu-architecture",
    "its libraries were not built for the GPU of its node",
    "Install a build of torch (or of the library in the log) that supports this GPU, or set a size with another GPU.",
)
GPU_HARDWARE = Cause(
    "gpu-hardware",
    "a GPU of its node is faulty",
    f"{RUN_AGAIN} If it happens again, delete the compute, and report the node to Azure's support.",
)
DUPLICATE_GPU = Cause(
    "duplicate-gpu",
    "two of its processes use the same GPU",
    "Start as many processes on each node as it has GPUs (`distribution`: `process_count_per_instance`), and use the "
    "GPU of the local rank (`torch.cuda.set_device(int(os.environ['LOCAL_RANK']))`).",
)
COLLECTIVE_TIMEOUT = Cause(
    "collective-timeout",
    "one of its processes waited in vain for the others in a collective operation (NCCL)",
    "Look for the process that stopped first in the logs of the other ranks: an error, a different number of batches, "
    "or no more memory. If all were only slow, raise the timeout of `init_process_group`.",
)
NCCL = Cause(
    "nccl",
    "its GPUs could not communicate with each other (NCCL)",
    "Set `NCCL_DEBUG=INFO` in `environment_variables`, and read the warnings above the error. Frequent reasons are too "
    "little shared memory (`shm_size`), a wrong `NCCL_SOCKET_IFNAME`, and an NCCL version that does not fit the "
    "driver.",
)
RENDEZVOUS = Cause(
    "rendezvous-failed",
    "its nodes could not reach each other at the start",
    "Check in the logs of the other ranks if one has failed before. Use the variables `MASTER_ADDR` and `MASTER_PORT` "
    "of the job, not addresses of your own, and allow connections among the nodes in the subnet of the compute.",
)
MPI_FAILED = Cause(
    "mpi-failed",
    "MPI could not start its processes",
    "The image needs an MPI library and an SSH server that Azure ML can use: start from one of Azure ML's base images "
    "(`mcr.microsoft.com/azureml/openmpi...`), or use `distribution='pytorch'`, which needs neither.",
)
MODULE_MISSING = Cause(
    "module-missing",
    "its image lacks a Python package",
    "Add the package to the image: `DockerSettings(requirements=[...])`. Code of your own must be below the source "
    "root, which `zenml init` marks.",
    names_error=True,
)
LIBRARY_MISSING = Cause(
    "library-missing",
    "its image lacks a system library, or has one that is too old",
    "Add the library to the image: `DockerSettings(apt_packages=[...])`, e.g. `libgl1` for `libGL.so.1`; or use a "
    "newer base image (`parent_image`), or packages without that need (`opencv-python-headless`).",
    names_error=True,
)
TOO_MANY_FILES = Cause(
    "too-many-open-files",
    "it had too many files open",
    "Use fewer data loader workers, or close files; with torch, "
    "`torch.multiprocessing.set_sharing_strategy('file_system')`. Or raise the limit: "
    "`docker_args='--ulimit nofile=1048576:1048576'`.",
)
NETWORK_UNREACHABLE = Cause(
    "network-unreachable",
    "it could not reach a host on the network",
    "Check that the compute's network lets it reach the host in the log: outbound rules of a managed network, DNS, a "
    "firewall, a proxy in `environment_variables`. If the host is ZenML's server, its address must be reachable from "
    "Azure.",
    names_error=True,
)
