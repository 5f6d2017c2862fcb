"""A barrier for the ranks of a step: each reports its end to rank 0 with a small file in the artifact store.

Rank 0 reports the step's end to ZenML, and must not report `completed` while another rank may still fail. If Azure ML
ends all processes of a job after one has failed, it ends rank 0 during its wait. Azure ML does not document that for
each kind of job (Azure/MachineLearningNotebooks#606: with several nodes and no distribution, a failure did not even
fail the job). So a rank that fails also writes that to its file.

A rank that dies without a report, for example by `os._exit(0)`, must not block rank 0 indefinitely. Each rank updates
its file while it runs, and rank 0 stops waiting for a rank whose file has not changed for long. Rank 0 measures times
with its own clock, so the clocks of the nodes need not agree.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from zenml.io import fileio
from zenml.logger import get_logger

from zenml_azureml.in_job.rank import OtherRankError, Rank, has_failed

logger = get_logger(__name__)

#: The content of a rank's file. It is only complete with a newline at its end.
_RUNS, _ENDED, _FAILED = "runs", "ended", "failed"

_RENEWED_EVERY_SECONDS = 30.0
#: Longer than a process takes to start and to load its inputs after others have ended, and longer than most outages.
_SILENT_SECONDS = 600.0
_TOLD_AFTER_SECONDS = 10.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0
_WRITING_PAUSES_SECONDS: tuple[int, ...] = (1, 2, 4, 8)

#: Number of looks if rank 0 fails too, and the time between two. Ranks with the same fault fail within seconds.
_FAILING_LOOKS, _FAILING_LOOK_SECONDS = 20, 1.0

_MOST_WORDS = 500


def folder_of(artifact_store: str, job: str) -> str:
    """Return the folder of the files of a job's ranks.

    Args:
        artifact_store: Path of the artifact store.
        job: Name of the job: each attempt of a step has its own.
    """
    return os.path.join(artifact_store, "zenml_azureml", "ranks", job)  # noqa: PTH118 - may be a URL


@contextmanager
def report_end(
    folder: str, rank: Rank, *, every: float = _RENEWED_EVERY_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Report to rank 0 how the enclosed code ends, which is this rank's part of the step.

    Args:
        folder: Folder of the job's ranks.
        rank: This rank; not 0.
        every: Seconds between two updates of the file.
        sleep: Sleeps that many seconds between two tries.
    """
    path, ended = _path(folder, rank.number), threading.Event()
    _write(path, f"{_RUNS} 0")  # replaces the file of an earlier attempt of the same job

    def renew() -> None:
        for number in count(1):
            if ended.wait(every):
                return
            _write(path, f"{_RUNS} {number}", logging.DEBUG)

    renewing = threading.Thread(target=renew, name="zenml-azureml-rank", daemon=True)
    renewing.start()
    words, pauses = _ENDED, _WRITING_PAUSES_SECONDS
    try:
        yield
    except BaseException as error:
        if has_failed(error):
            message = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_WORDS]
            words = f"{_FAILED} on node {rank.node}: {message}"
            pauses = ()  # no retries: Azure ML notices the end of the process anyway
        raise
    finally:
        ended.set()
        renewing.join()
        while not _write(path, words) and pauses:
            sleep(pauses[0])
            pauses = pauses[1:]


def report_failure(folder: str, rank: Rank) -> None:
    """Report on rank 0 that its part of the step has failed, for the ranks that wait during the hold of the job."""
    _write(_path(folder, rank.number), f"{_FAILED} on node {rank.node}")


def forget_failure(folder: str, rank: Rank) -> None:
    """Replace on rank 0 the report of an earlier attempt of the same job."""
    _write(_path(folder, rank.number), f"{_RUNS} 0")


def remove_reports(folder: str) -> None:
    """Remove the files of all ranks after a hold."""
    _remove(folder)


def rank_zero_fails(folder: str, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Return on another rank, which has failed, if rank 0 fails too; waits for that for some seconds."""
    for _ in range(_FAILING_LOOKS):
        if _read(_path(folder, 0)).startswith(_FAILED):
            return True
        sleep(_FAILING_LOOK_SECONDS)
    return False


def wait_for_others(
    folder: str,
    rank: Rank,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait on rank 0 until all others have ended, without a timeout. Removes their files.

    Args:
        folder: Folder of the job's ranks.
        rank: This rank, with the number of ranks.
        sleep: Sleeps that many seconds.
        clock: Seconds since some fixed moment.

    Raises:
        OtherRankError: If one of them has failed.
    """
    began, pause, logged = clock(), _FIRST_PAUSE_SECONDS, False
    others = [_Other(number, began) for number in range(1, rank.size - rank.servers)]
    try:
        while others := [other for other in others if not other.is_over(_read(_path(folder, other.number)), clock())]:
            if not logged and clock() - began > _TOLD_AFTER_SECONDS:
                logged = True
                numbers = ", ".join(f"rank {other.number}" for other in others)
                logger.info(
                    "The step has returned on rank 0; waiting for other ranks before reporting to ZenML: %s", numbers
                )
            sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
    finally:
        _remove(folder)


@dataclass
class _Other:
    """A rank that rank 0 waits for, and the time of its last report."""

    number: int
    since: float
    words: str = ""

    def is_over(self, words: str, now: float) -> bool:
        """Return True if rank 0 need not wait for it any more, given the content of its file.

        Raises:
            OtherRankError: If it has failed.
        """
        if words.startswith(_FAILED):
            raise OtherRankError(f"Rank {self.number} {words}")
        if words and words != self.words:
            self.words, self.since = words, now
        silent = now - self.since > _SILENT_SECONDS
        if silent:
            logger.warning(
                "No report from rank %s for %.0f minutes; no longer waiting for it", self.number, _SILENT_SECONDS / 60
            )
        return silent or words == _ENDED


def _path(folder: str, number: int) -> str:
    return os.path.join(folder, f"rank_{number}")  # noqa: PTH118 - may be a URL


def _write(path: str, words: str, level: int = logging.WARNING) -> bool:
    """Write a rank's file; return False and log the error if that fails: the step itself continues."""
    try:
        fileio.makedirs(os.path.dirname(path))  # noqa: PTH120 - may be a URL
        with fileio.open(path, "w") as file:
            file.write(f"{words}\n")
    except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
        logger.log(level, "Could not write the report for rank 0 to %s: %s", path, error)
        return False
    return True


def _read(path: str) -> str:
    """Return the content of a rank's file; empty if it cannot be read yet."""
    try:
        with fileio.open(path, "r") as file:
            words = str(file.read())
    except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
        logger.debug("%s cannot be read: %s", path, error)
        return ""
    return words[:-1] if words.endswith("\n") else ""


def _remove(folder: str) -> None:
    try:
        if fileio.exists(folder):
            fileio.rmtree(folder)
    except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
        logger.warning("%s could not be removed: %s", folder, error)
