"""Use of the computes that are to be deleted after the last job of this process.

Thread-safe: one lock guards the tables.
"""

from __future__ import annotations

import threading
from collections import defaultdict

from zenml_azureml.azure.compute.provisioner import ComputeTarget


class ComputeUsage:
    """The computes that this process has created and is to delete, and the jobs that run on them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: defaultdict[str, set[str]] = defaultdict(set)
        self._to_delete: dict[str, ComputeTarget] = {}

    def take(self, target: ComputeTarget, job_name: str, *, delete_after: bool) -> None:
        """Note that a job runs on a compute.

        Args:
            target: The compute.
            job_name: The job.
            delete_after: True to delete it after its last job, if this process created it.
        """
        if target.name is None:
            return
        with self._lock:
            self._jobs[target.name].add(job_name)
            if delete_after and target.created:
                self._to_delete[target.name] = target

    def release(self, job_name: str) -> ComputeTarget | None:
        """Note that a job has ended.

        Args:
            job_name: The job.

        Returns:
            The compute that is to be deleted now, if there is one.
        """
        with self._lock:
            for name, jobs in list(self._jobs.items()):
                if job_name in jobs:
                    jobs.discard(job_name)
                    if not jobs:
                        del self._jobs[name]
                        return self._to_delete.pop(name, None)
        return None
