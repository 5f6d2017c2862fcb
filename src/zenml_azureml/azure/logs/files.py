"""The log files of the user's processes among a job's files, their order and their labels.

Azure ML writes stdout and stderr of a process to one file; the sources are in brackets:

- `user_logs/std_log.txt`: a job of one process [MicrosoftDocs/azure-docs, how-to-log-view-metrics.md];
- `user_logs/std_log_process_01.txt`: one of several processes, on one node or more, with as many digits as their
  number needs [Azure/azureml-examples, the Dask sample: `_01` of 16; Project-MONAI tutorials: `_0` of 1];
- `user_logs/std_log_node_00_ps.txt`, `..._worker.txt`: TensorFlow [azure-sdk-for-python, test_job_ops_helper.py];
- `user_logs/retry_001/std_log_process_0.txt`: of a job that was restarted, e.g. because its node was preempted
  [quoted by users of two tools that read these logs; microsoft/hi-ml#705 names the folders];
- `azureml-logs/70_driver_log.txt`, `..._0.txt`: before the common runtime of 2021 [azure-ai-ml, JobLogPattern].
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from zenml_azureml.safe_text import safe_name

_USER_LOG = re.compile(r"^user_logs/(?:.+/)?std_log[^/]*\.txt$")
_LEGACY_LOG = re.compile(r"^azureml-logs/70_driver_log[^/]*\.txt$")
_COMMON_PART = re.compile(r"^(?:std_log|70_driver_log)_?")


def user_logs(paths: Iterable[str]) -> list[str]:
    """Return the logs of the user's processes, in order: the first attempt, then its first process, come first.

    Args:
        paths: Paths of all of a job's files, e.g. `user_logs/std_log.txt`.
    """
    every = list(paths)
    found = [path for path in every if _USER_LOG.match(path)] or [path for path in every if _LEGACY_LOG.match(path)]
    return sorted(found, key=order)


def order(path: str) -> tuple[int, list[tuple[int, str]]]:
    """Return a sort key: folders of later attempts come last, and process 10 comes after process 9."""
    parts = re.split(r"(\d+)", path)
    return path.count("/"), [(int(part) if part.isdecimal() else -1, part) for part in parts]


def attempt_of(path: str) -> str:
    """Return the attempt of the job that a log belongs to: its folder."""
    return path.rpartition("/")[0]


def label_of(path: str, processes_per_node: int | None = None) -> str:
    """Return the label of a log if there are several: `node 1 rank 3`, `node 0 worker`, `retry 1 node 0 rank 0`.

    Args:
        path: E.g. `user_logs/std_log_process_03.txt`.
        processes_per_node: Number of processes on each node; None if unknown: the label then is only `process 3`.
    """
    _, *folders, name = path.split("/")
    own = _COMMON_PART.sub("", name.removesuffix(".txt"))
    number = own.removeprefix("process_")
    if processes_per_node and own.startswith("process_") and number.isdecimal():
        own = f"node {int(number) // processes_per_node} rank {number}"
    elif own.isdecimal() or not (own or folders):
        own = f"log {own}"
    words = safe_name(" ".join([*folders, own])).replace("_", " ").split()
    return " ".join(str(int(word)) if word.isdecimal() else word for word in words)
