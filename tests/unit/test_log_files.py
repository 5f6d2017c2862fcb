"""Which files are logs, their order and their names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zenml_azureml.azure.logs.files import label_of, user_logs

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "logs.md"


def test_logs_are_those_of_the_users_processes_the_first_attempts_first() -> None:
    files = [
        "azureml-logs/process_info.json",
        "logs/azureml/dataprep/rslex.log",
        "outputs/std_log.txt",
        "system_logs/lifecycler/lifecycler.log",
        "user_logs/mpi_log.txt",
        "user_logs/retry_001/std_log_process_0.txt",
        "user_logs/retry_002/std_log_process_0.txt",
        "user_logs/std_log_process_0.txt",
        "user_logs/std_log_process_10.txt",
        "user_logs/std_log_process_9.txt",
    ]

    assert user_logs(files) == [
        "user_logs/std_log_process_0.txt",
        "user_logs/std_log_process_9.txt",
        "user_logs/std_log_process_10.txt",
        "user_logs/retry_001/std_log_process_0.txt",
        "user_logs/retry_002/std_log_process_0.txt",
    ]


def test_the_files_of_old_are_logs_where_there_are_no_others() -> None:
    old = ["azureml-logs/55_azureml-execution-tvmps_0f.txt", "azureml-logs/70_driver_log.txt"]

    assert user_logs(old) == ["azureml-logs/70_driver_log.txt"]
    assert user_logs([*old, "user_logs/std_log.txt"]) == ["user_logs/std_log.txt"]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("user_logs/std_log.txt", "log"),
        ("user_logs/std_log_process_00.txt", "process 0"),
        ("user_logs/std_log_process_11.txt", "process 11"),
        ("user_logs/std_log_node_01_worker.txt", "node 1 worker"),
        ("user_logs/retry_002/std_log.txt", "retry 2"),
        ("user_logs/retry_001/std_log_process_0.txt", "retry 1 process 0"),
        ("user_logs/std_log_1.txt", "log 1"),
        ("azureml-logs/70_driver_log.txt", "log"),
        ("azureml-logs/70_driver_log_1.txt", "log 1"),
    ],
)
def test_a_log_is_called_what_its_name_says(path: str, label: str) -> None:
    assert label_of(path) == label


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("user_logs/std_log_process_03.txt", "node 1 rank 3"),
        ("user_logs/retry_001/std_log_process_0.txt", "retry 1 node 0 rank 0"),
        ("user_logs/std_log_node_01_worker.txt", "node 1 worker"),
        ("user_logs/std_log.txt", "log"),
    ],
)
def test_where_it_is_known_how_many_processes_a_node_has_a_log_is_called_by_its_node(path: str, label: str) -> None:
    assert label_of(path, processes_per_node=2) == label


def test_the_documentation_names_them_so() -> None:
    documented = re.findall(r"^\| `(.+?)`.* \| `\[(.+)\]` \|$", DOCUMENTATION.read_text(), re.MULTILINE)

    assert len(documented) == 5
    assert [label_of(path, 2 if "node" in label else None) for path, label in documented] == [
        label for _, label in documented
    ]
