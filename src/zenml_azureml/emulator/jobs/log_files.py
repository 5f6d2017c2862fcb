"""Names of Azure ML's files for stdout and stderr of a job's processes: pure."""

from __future__ import annotations

from zenml_azureml.emulator.types import Json

#: The file of a job of one process (MicrosoftDocs/azure-docs, how-to-log-view-metrics.md).
SINGLE = "std_log.txt"


def log_names(distribution: Json | None, node_count: int) -> tuple[str, ...]:
    """Return the files in `user_logs`, one per process, in the order of the processes.

    Args:
        distribution: Of the job, as Resource Manager has it.
        node_count: Number of nodes.
    """
    sent = distribution or {}
    kind = str(sent.get("distributionType") or "").lower()
    if kind in ("mpi", "pytorch"):
        count = node_count * int(sent.get("processCountPerInstance") or 1)
        # Quoted are `_0` of 1 (Project-MONAI tutorials) and `_01` of 16 (Azure/azureml-examples, the Dask sample).
        # Guess: as many digits as the last one needs; a test of the Azure SDK has `_00` to `_04`.
        digits = len(str(count - 1))
        return tuple(f"std_log_process_{number:0{digits}}.txt" for number in range(count))
    if kind == "tensorflow":
        # The names are those of a test of the Azure SDK (azure-sdk-for-python, test_job_ops_helper.py).
        counts = {
            "ps": int(sent.get("parameterServerCount") or 0),
            "worker": int(sent.get("workerCount") or node_count),
        }
        return tuple(
            f"std_log_node_{number:02}_{role}.txt" for role, count in counts.items() for number in range(count)
        )
    # Guess: the files of a Ray job, and of several nodes without a distribution, are not documented.
    return (SINGLE,)


def retry_folder(attempt: int) -> str:
    """Return the folder in `user_logs` of a later attempt at a job, e.g. after its node was preempted.

    Guess: public tools that read these logs look for `user_logs/retry_035/std_log_process_0.txt` and, of the first
    attempt, `user_logs/std_log_process_0.txt`; microsoft/hi-ml#705 names folders `retry_001`, `retry_002`.

    Args:
        attempt: 1 for the second.
    """
    return f"retry_{attempt:03}"
