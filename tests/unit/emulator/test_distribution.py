"""What the processes of a job are told, to find each other by."""

from __future__ import annotations

import json

from zenml_azureml.emulator.jobs.processes import Rendezvous, in_folder, job_processes, variables_of
from zenml_azureml.emulator.types import Json


def told(distribution: Json | None, nodes: int) -> list[dict[str, str]]:
    processes = job_processes(distribution, nodes)
    meeting = Rendezvous(
        tuple(f"10.0.0.{node + 4}" for node in range(nodes)), tuple(range(6105, 6105 + len(processes)))
    )
    return [variables_of(process, processes, meeting) for process in processes]


def test_processes_of_pytorch_find_the_first_one_of_them() -> None:
    variables = told({"distributionType": "PyTorch", "processCountPerInstance": 2}, 2)[3]

    assert variables == {
        "MASTER_ADDR": "10.0.0.4",
        "MASTER_PORT": "6105",
        "WORLD_SIZE": "4",
        "RANK": "3",
        "NODE_RANK": "1",
        "LOCAL_RANK": "1",
        "AZUREML_CR_NODE_RANK": "1",
        "AZUREML_CR_DISTRIBUTED_CONFIG": '{"rank":"AZUREML_CR_NODE_RANK","host_list":["10.0.0.4","10.0.0.5"]}',
        "AZ_BATCH_HOST_LIST": "10.0.0.4,10.0.0.5",
        "AZ_BATCH_MASTER_NODE": "10.0.0.4:6105",
        "AZ_BATCHAI_JOB_MASTER_NODE_IP": "10.0.0.4",
        "AZ_BATCHAI_MPI_MASTER_NODE": "10.0.0.4",
    }


def test_processes_of_mpi_have_open_mpis_variables() -> None:
    variables = told({"distributionType": "Mpi", "processCountPerInstance": 2}, 2)[2]

    mpi = {name: value for name, value in variables.items() if name.startswith("OMPI_")}
    assert mpi == {
        "OMPI_COMM_WORLD_RANK": "2",
        "OMPI_COMM_WORLD_SIZE": "4",
        "OMPI_COMM_WORLD_LOCAL_RANK": "0",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        "OMPI_COMM_WORLD_NODE_RANK": "0",
    }


def test_processes_of_tensorflow_know_the_cluster_and_their_task() -> None:
    server, _, worker = told({"distributionType": "TensorFlow", "parameterServerCount": 1, "workerCount": 2}, 2)

    config = json.loads(worker["TF_CONFIG"])
    assert config["cluster"] == {"ps": ["10.0.0.4:6105"], "worker": ["10.0.0.4:6106", "10.0.0.5:6107"]}
    assert config["task"] == {"type": "worker", "index": 1}
    assert json.loads(server["TF_CONFIG"])["task"] == {"type": "ps", "index": 0}


def test_one_process_alone_is_told_of_no_others() -> None:
    config = '{"rank":"AZUREML_CR_NODE_RANK","host_list":["10.0.0.4"]}'

    assert told(None, 1) == [{"AZUREML_CR_NODE_RANK": "0", "AZUREML_CR_DISTRIBUTED_CONFIG": config}]


def test_a_job_of_ray_runs_its_command_on_the_head_node() -> None:
    assert [process.node for process in job_processes({"distributionType": "Ray"}, 4)] == [0]


def test_a_later_attempt_logs_into_a_folder_of_its_own() -> None:
    processes = in_folder(job_processes({"distributionType": "PyTorch"}, 2), "retry_001")

    assert [process.log_name for process in processes] == [f"retry_001/std_log_process_{rank}.txt" for rank in (0, 1)]
