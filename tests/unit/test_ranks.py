"""Which of a job's processes one is, by the variables that Azure ML sets for each kind of distribution."""

from __future__ import annotations

import json

import pytest

from zenml_azureml.azure.logs.tail import LogTail
from zenml_azureml.contract.commands import ENTRYPOINT, rank_command
from zenml_azureml.emulator.jobs.processes import Rendezvous, job_processes, variables_of
from zenml_azureml.emulator.types import Json
from zenml_azureml.in_job.rank import FailureReporter, NoRankError, Rank, rank_from_env

TWO_PER_NODE = {"distributionType": "PyTorch", "processCountPerInstance": 2}


def ranks_of(distribution: Json | None, nodes: int) -> list[Rank]:
    """The rank of each process of a job, as it finds it out from the emulator's variables."""
    processes = job_processes(distribution, nodes)
    meeting = Rendezvous(("127.0.0.1",) * nodes, tuple(range(7000, 7000 + len(processes))))
    common = {"AZUREML_NODE_COUNT": str(nodes)}
    return [rank_from_env({**common, **variables_of(process, processes, meeting)}) for process in processes]


@pytest.mark.parametrize(
    ("distribution", "nodes", "expected"),
    [
        (TWO_PER_NODE, 2, ["0 of 4, on node 0", "1 of 4, on node 0", "2 of 4, on node 1", "3 of 4, on node 1"]),
        ({**TWO_PER_NODE, "distributionType": "Mpi"}, 1, ["0 of 2, on node 0", "1 of 2, on node 0"]),
        ({"distributionType": "TensorFlow"}, 2, ["0 of 2, on node 0", "1 of 2, on node 1"]),
        # Parameter servers are first among the logs, and last among the ranks.
        (
            {"distributionType": "TensorFlow", "parameterServerCount": 1, "workerCount": 2},
            2,
            ["2 of 3, on node 0", "0 of 3, on node 0", "1 of 3, on node 1"],
        ),
        (None, 2, ["0 of 2, on node 0", "1 of 2, on node 1"]),
    ],
    ids=["PyTorch", "MPI", "TensorFlow", "TensorFlow with parameter servers", "none"],
)
def test_every_process_knows_its_rank(distribution: Json | None, nodes: int, expected: list[str]) -> None:
    assert [str(rank) for rank in ranks_of(distribution, nodes)] == [f"rank {words}" for words in expected]


def test_a_chief_is_the_first() -> None:
    cluster = {"ps": ["a:1"], "worker": ["b:1"], "chief": ["c:1"]}

    ranks = [
        rank_from_env({"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}})})
        for role in cluster
    ]

    assert [rank.number for rank in ranks] == [2, 1, 0]


@pytest.mark.parametrize("config", [{}, {"cluster": {"worker": ["a:1"]}}, {"task": {"type": "worker", "index": 0}}])
def test_a_configuration_of_tensorflow_that_names_no_task_tells_no_rank(config: Json) -> None:
    with pytest.raises(NoRankError, match="TF_CONFIG has no `cluster` and `task`"):
        rank_from_env({"TF_CONFIG": json.dumps(config)})


def test_intel_mpi_tells_it_in_its_own_words() -> None:
    assert rank_from_env({"PMI_RANK": "1", "PMI_SIZE": "2", "AZUREML_CR_NODE_RANK": "1"}) == Rank(1, 2, 1, "PMI_RANK")


def test_a_process_that_was_told_nothing_is_not_taken_for_the_first() -> None:
    with pytest.raises(NoRankError, match="none of RANK, OMPI_COMM_WORLD_RANK"):
        rank_from_env({"PATH": "/bin"})


@pytest.mark.parametrize("distribution", [TWO_PER_NODE, {"distributionType": "TensorFlow"}, None])
def test_what_the_error_says_to_write_holds_on_the_first_rank_only(distribution: Json | None) -> None:
    processes = job_processes(distribution, 2)
    meeting = Rendezvous(("a", "b"), tuple(range(len(processes))))
    holds = []
    for process in processes:
        variables = {"AZUREML_NODE_COUNT": "2", **variables_of(process, processes, meeting)}

        class Os:
            environ = variables

        holds.append(eval(rank_from_env(variables).is_first, {"os": Os, "json": json}))

    assert holds == [True] + [False] * (len(processes) - 1)


def test_only_zenmls_own_entrypoint_is_replaced() -> None:
    theirs = [
        "python",
        "-m",
        "zenml.entrypoints.entrypoint",
        "--entrypoint_config_source",
        "zenml.X",
        "--step_name",
        "s",
    ]

    assert rank_command(theirs) == [*theirs[:4], ENTRYPOINT, *theirs[5:]]
    assert rank_command(["bash", "-c", "train"]) == ["bash", "-c", "train"]


def test_the_first_failure_is_told_once_and_is_recognised_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    teller = FailureReporter(Rank(3, 4, 1, "RANK"))
    with pytest.raises(ValueError, match="boom"), teller.watching(), teller.watching():
        raise ValueError("boom")

    (line,) = capsys.readouterr().err.splitlines()
    tail = LogTail()
    tail.add(line)
    assert line.startswith("zenml-azureml: rank 3 of 4, on node 1, failed at 20")
    assert tail.failed_at


def test_a_rank_that_ends_early_with_success_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), FailureReporter(Rank(1, 2, 0, "RANK")).watching():
        raise SystemExit(0)

    assert capsys.readouterr().err == ""
