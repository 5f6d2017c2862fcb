"""What the files of a job's processes are called."""

from __future__ import annotations

import pytest

from zenml_azureml.emulator.jobs.log_files import log_names
from zenml_azureml.emulator.types import Json


@pytest.mark.parametrize(
    ("distribution", "nodes", "names"),
    [
        (None, 1, ["std_log.txt"]),
        ({"distributionType": "Mpi", "processCountPerInstance": 1}, 1, ["std_log_process_0.txt"]),
        ({"distributionType": "PyTorch"}, 2, ["std_log_process_0.txt", "std_log_process_1.txt"]),
        (
            {"distributionType": "Mpi", "processCountPerInstance": 4},
            4,
            [f"std_log_process_{number:02}.txt" for number in range(16)],
        ),
        (
            {"distributionType": "TensorFlow", "parameterServerCount": 1, "workerCount": 2},
            2,
            ["std_log_node_00_ps.txt", "std_log_node_00_worker.txt", "std_log_node_01_worker.txt"],
        ),
    ],
)
def test_each_process_has_a_file(distribution: Json | None, nodes: int, names: list[str]) -> None:
    assert list(log_names(distribution, nodes)) == names
