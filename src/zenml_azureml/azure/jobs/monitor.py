"""Watches the jobs of a workspace: one thread polls them all, a few others read their logs.

Thread-safe: one lock guards the table of jobs. Only the monitor's thread polls a job, and only one reader at a time
reads its log.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import timedelta

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.poller import get_status_of_one, list_statuses
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.watch import Watch, WatchOptions
from zenml_azureml.clock import SYSTEM_TIME, Time

POLL_INTERVAL = timedelta(seconds=1)

#: From this number on, jobs with a common tag are polled by one listing instead of one by one.
LISTING_PAYS = 3

#: Shortest time per request of a pass over the jobs: Resource Manager allows a principal 25 reads a second in total.
PACE = timedelta(seconds=0.05)

#: Time between two polls of logs that are being written, over all jobs in turn: with hundreds of jobs, each poll takes
#: processor time from the orchestrator.
LOG_PACE = timedelta(seconds=0.05)

#: Number of threads that read logs. A job counts as ended only after its log is read. With 0.2 s per request, eight
#: threads finish more jobs in a second than Resource Manager lets a principal submit.
LOG_READERS = 8


class JobMonitor:
    """Watches jobs of one workspace.

    Its threads end when they have no work, so an idle process has none of them.

    Args:
        connection: The workspace.
        time: Source of time.
        poll_interval: The shortest time between two polls of the jobs.
    """

    def __init__(
        self, connection: WorkspaceConnection, time: Time = SYSTEM_TIME, poll_interval: timedelta = POLL_INTERVAL
    ) -> None:
        self._connection = connection
        self._time = time
        self._poll_interval = poll_interval
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._thread: threading.Thread | None = None
        self._readers = _LogReaders()

    def watch(self, job_name: str, options: WatchOptions) -> JobHandle:
        """Start to watch a job, or keep watching it.

        Args:
            job_name: The job.
            options: Options of the watch; ignored if the job is watched already.

        Returns:
            A handle, which the monitor keeps up to date.
        """
        with self._lock:
            watch = self._watches.get(job_name)
            if watch is None:
                watch = self._watches[job_name] = Watch(self._connection, job_name, options, self._time)
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="zenml-azureml-job-monitor", daemon=True)
                    self._thread.start()
            return watch.job

    def forget(self, job_name: str) -> None:
        """Stop watching a job."""
        with self._lock:
            self._watches.pop(job_name, None)

    def watched(self, job_name: str) -> JobHandle | None:
        """Return the handle of a job; None if it is not watched."""
        with self._lock:
            watch = self._watches.get(job_name)
        return watch.job if watch is not None else None

    def hurry(self, job_name: str) -> None:
        """Poll a job as often as a new one: its status is about to change."""
        with self._lock:
            watch = self._watches.get(job_name)
        if watch is not None:
            watch.hurry()

    def _run(self) -> None:
        while True:
            with self._lock:
                watches = [watch for watch in self._watches.values() if not watch.job.settled]
                if not watches:
                    self._thread = None
                    return
            began = self._time.monotonic()
            requests = self._look_at([watch for watch in watches if watch.is_pollable], began)
            self._read_logs(watches)
            least = max(self._poll_interval, requests * PACE).total_seconds()
            self._time.sleep(max(0.0, began + least - self._time.monotonic()))

    def _look_at(self, watches: list[Watch], now: float) -> int:
        """Poll jobs; return the number of requests that it took."""
        by_tag: dict[str, list[Watch]] = defaultdict(list)
        for watch in watches:
            by_tag[watch.options.tag].append(watch)
        # A job that is due before the middle of the next interval is polled in this one.
        moment = now + self._poll_interval.total_seconds() / 2
        requests = 0
        for tag, group in by_tag.items():
            due = [watch for watch in group if watch.is_due_by(moment)]
            if tag and len(group) >= LISTING_PAYS and due:
                requests += self._look_by_listing(tag, group)
            else:
                requests += self._look_one_by_one(due)
        return requests

    def _look_one_by_one(self, watches: Iterable[Watch]) -> int:
        requests = 0
        for watch in watches:
            requests += 1
            try:
                watch.saw(get_status_of_one(self._connection, watch.job.name))
            except Exception as error:  # noqa: BLE001 - the waiting thread must get it
                watch.on_error(error)
        return requests

    def _look_by_listing(self, tag: str, watches: list[Watch]) -> int:
        unseen = {watch.job.name: watch for watch in watches}

        def saw(job: JobSnapshot) -> None:
            watch = unseen.pop(job.name)
            watch.saw(job)
            if watch.job.phase.ended:
                self._readers.read(watch)  # while further pages are read

        try:
            requests = list_statuses(self._connection, tag, list(unseen), saw)
        except Exception as error:  # noqa: BLE001 - as above
            for watch in unseen.values():
                watch.on_error(error)
            return 1
        return requests + self._look_one_by_one(unseen.values())

    def _read_logs(self, watches: list[Watch]) -> None:
        followed = sum(watch.follows_log for watch in watches)
        interval = max(self._poll_interval, followed * LOG_PACE)
        # First the jobs that have ended: threads wait for them.
        for watch in sorted(watches, key=lambda watch: not watch.job.is_over):
            if watch.wants_log(interval):
                self._readers.read(watch)


class _LogReaders:
    """Threads that read logs, so that a slow log delays no status; jobs that have ended come first.

    Thread-safe: one lock guards all fields.
    """

    def __init__(self) -> None:
        self._ended: deque[Watch] = deque()
        self._followed: deque[Watch] = deque()
        self._lock = threading.Lock()
        self._reading: set[str] = set()
        self._threads = 0

    def read(self, watch: Watch) -> None:
        """Queue the log of a job for reading, unless it is being read."""
        with self._lock:
            if watch.job.name in self._reading:
                return
            self._reading.add(watch.job.name)
            (self._ended if watch.job.is_over else self._followed).append(watch)
            if self._threads < min(LOG_READERS, len(self._reading)):
                self._threads += 1
                threading.Thread(target=self._run, name="zenml-azureml-log-reader", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not (waiting := self._ended or self._followed):
                    self._threads -= 1
                    return
                watch = waiting.popleft()
            ran = not watch.job.is_over
            try:
                watch.read_log()
                if ran and watch.job.is_over:  # ended in the meantime
                    watch.read_log()
            finally:
                with self._lock:
                    self._reading.discard(watch.job.name)
