"""The processes of a job: their nodes, their logs, and the variables with which they find each other. Pure.

The variables of each framework are from Microsoft's guide to distributed training (how-to-train-distributed-gpu):
`MASTER_ADDR`, `MASTER_PORT`, `WORLD_SIZE`, `NODE_RANK`, `RANK`, `LOCAL_RANK` (PyTorch), `OMPI_COMM_WORLD_*` (MPI, from
Open MPI itself), `TF_CONFIG` (TensorFlow). The variables of Azure Batch, of which the nodes are, are those that public
training scripts read: `AZ_BATCH_MASTER_NODE` and `AZ_BATCHAI_MPI_MASTER_NODE` (microsoft/hi-ml),
`AZ_BATCHAI_JOB_MASTER_NODE_IP` (scripts that start `torchrun` themselves), `AZ_BATCH_HOST_LIST`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from zenml_azureml.emulator.jobs.log_files import SINGLE, log_names
from zenml_azureml.emulator.types import Json

Kind = Literal["none", "pytorch", "mpi", "tensorflow", "ray"]


@dataclass(frozen=True)
class JobProcess:
    """One process of a job.

    Attributes:
        kind: Whose variables it gets.
        node: The node that it is on, from 0.
        log_name: The file in `user_logs` that its stdout and stderr go to.
        rank: Its number among all processes of the job, or among those of its role.
        local_rank: Its number among those of its node.
        size: Number of all processes, or of those with its role.
        local_size: Number of processes on its node.
        role: Of a TensorFlow process: `worker` or `ps`; empty for others.
    """

    kind: Kind = "none"
    node: int = 0
    log_name: str = SINGLE
    rank: int = 0
    local_rank: int = 0
    size: int = 1
    local_size: int = 1
    role: str = ""

    @property
    def serves_others(self) -> bool:
        """True if it runs as long as the others do, and never ends by itself: a parameter server."""
        return self.role == "ps"


@dataclass(frozen=True)
class Rendezvous:
    """Addresses with which the processes of a job find each other.

    Attributes:
        hosts: The address of each node.
        ports: A free port for each process, in their order; the first one is the master's.
    """

    hosts: tuple[str, ...]
    ports: tuple[int, ...]


def process_count(distribution: Json | None, node_count: int) -> int:
    """Return the number of processes that `job_processes` would create, without creating them.

    Args:
        distribution: Of the job, as Resource Manager has it.
        node_count: Number of nodes.
    """
    sent = distribution or {}
    kind = str(sent.get("distributionType") or "none").lower()
    if kind in ("pytorch", "mpi"):
        return node_count * int(sent.get("processCountPerInstance") or 1)
    if kind == "tensorflow":
        workers = int(sent.get("workerCount") or node_count) + int(sent.get("parameterServerCount") or 0)
        return max(workers, node_count)
    return node_count  # of a Ray job too: each node has a folder


def job_processes(distribution: Json | None, node_count: int) -> tuple[JobProcess, ...]:
    """Return the processes of a job, in the order of its logs.

    Args:
        distribution: Of the job, as Resource Manager has it.
        node_count: Number of nodes.
    """
    sent = distribution or {}
    kind = str(sent.get("distributionType") or "none").lower()
    names = log_names(distribution, node_count)
    if kind in ("pytorch", "mpi"):
        local_size = int(sent.get("processCountPerInstance") or 1)
        return tuple(
            JobProcess(
                "mpi" if kind == "mpi" else "pytorch",
                number // local_size,
                name,
                number,
                number % local_size,
                len(names),
                local_size,
            )
            for number, name in enumerate(names)
        )
    if kind == "tensorflow":
        return _tensorflow_processes(names, node_count)
    if kind == "ray":
        # Guess: the command runs on the head node only; Azure ML itself starts Ray there and on the others.
        return (JobProcess("ray"),)
    # Guess: without a distribution, each node runs the command.
    return tuple(JobProcess(node=node, rank=node, size=node_count) for node in range(node_count))


def _tensorflow_processes(names: Sequence[str], node_count: int) -> tuple[JobProcess, ...]:
    roles = ["ps" if name.endswith("_ps.txt") else "worker" for name in names]
    made: list[JobProcess] = []
    for name, role in zip(names, roles, strict=True):
        index = sum(process.role == role for process in made)
        # Guess: the node of a task. Workers are spread over all nodes, and so are parameter servers.
        made.append(JobProcess("tensorflow", index % node_count, name, index, size=roles.count(role), role=role))
    return tuple(made)


def in_folder(processes: Sequence[JobProcess], folder: str) -> tuple[JobProcess, ...]:
    """Return the same processes, with their logs in a folder of `user_logs`."""
    return tuple(replace(process, log_name=f"{folder}/{process.log_name}") for process in processes)


def variables_of(process: JobProcess, processes: Sequence[JobProcess], meeting: Rendezvous) -> dict[str, str]:
    """Return the environment variables that differ between the processes of a job.

    Args:
        process: The process.
        processes: All of them.
        meeting: Their addresses.
    """
    # The keys are those of a public dump of a job. Guess: `rank` is the name of a variable there, here of this one.
    config = {"rank": "AZUREML_CR_NODE_RANK", "host_list": list(meeting.hosts)}
    variables = {
        "AZUREML_CR_NODE_RANK": str(process.node),
        "AZUREML_CR_DISTRIBUTED_CONFIG": json.dumps(config, separators=(",", ":")),
    }
    if len(meeting.hosts) == 1 and process.kind == "none":
        return variables
    master, port = meeting.hosts[0], str(meeting.ports[0])
    variables |= {
        "AZ_BATCH_HOST_LIST": ",".join(meeting.hosts),
        "AZ_BATCHAI_JOB_MASTER_NODE_IP": master,
        "AZ_BATCHAI_MPI_MASTER_NODE": master,
    }
    if len(meeting.hosts) > 1:  # hi-ml detects several nodes by it
        variables["AZ_BATCH_MASTER_NODE"] = f"{master}:{port}"
    if process.kind == "pytorch":
        variables |= {
            "MASTER_ADDR": master,
            "MASTER_PORT": port,
            "WORLD_SIZE": str(process.size),
            "NODE_RANK": str(process.node),
            "RANK": str(process.rank),
            "LOCAL_RANK": str(process.local_rank),
        }
    elif process.kind == "mpi":
        variables |= {
            "OMPI_COMM_WORLD_RANK": str(process.rank),
            "OMPI_COMM_WORLD_SIZE": str(process.size),
            "OMPI_COMM_WORLD_LOCAL_RANK": str(process.local_rank),
            "OMPI_COMM_WORLD_LOCAL_SIZE": str(process.local_size),
            "OMPI_COMM_WORLD_NODE_RANK": str(process.local_rank),  # Open MPI's name of the rank on a node
        }
    elif process.kind == "tensorflow":
        variables["TF_CONFIG"] = json.dumps(_tf_config(process, processes, meeting))
    return variables


def _tf_config(process: JobProcess, processes: Sequence[JobProcess], meeting: Rendezvous) -> Mapping[str, object]:
    cluster: dict[str, list[str]] = {}
    for one, port in zip(processes, meeting.ports, strict=True):
        cluster.setdefault(one.role, []).append(f"{meeting.hosts[one.node]}:{port}")
    # Guess: `environment` as in Microsoft's example of the variable.
    return {"cluster": cluster, "task": {"type": process.role, "index": process.rank}, "environment": "cloud"}
