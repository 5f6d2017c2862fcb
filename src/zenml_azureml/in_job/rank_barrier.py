"""How the ranks of a step tell rank 0 that they have ended: a small file each, in the artifact store, which all reach.

Rank 0 reports the step's end to ZenML, and must not say `completed` while another one may still fail. Where Azure ML
ends all processes of a job whose one has failed, rank 0 is ended while it waits. Nobody promises that for each kind of
job (Azure/MachineLearningNotebooks#606: with several nodes and no distribution, a failure did not even fail the job);
so a rank that fails says so in its file too.

A rank that dies without a word, for example by `os._exit(0)`, must not have rank 0 wait for ever: each renews its file
while it runs, and one whose file has not changed for long is not waited for any more. Times are rank 0's own, so that
clocks of several nodes never meet.
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

#: What a rank's file says. Only with a newline at its end is it all there.
_RUNS, _ENDED, _FAILED = "runs", "ended", "failed"

_RENEWED_EVERY_SECONDS = 30.0
#: Longer than a process may take to start and to load its inputs after others have ended, and than an outage lasts.
_SILENT_SECONDS = 600.0
_TOLD_AFTER_SECONDS = 10.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0
_WRITING_PAUSES_SECONDS: tuple[int, ...] = (1, 2, 4, 8)

_MOST_WORDS = 500


def folder_of(artifact_store: str, job: str) -> str:
    """Where the ranks of a job have their files.

    Args:
        artifact_store: Path of the artifact store.
        job: Name of the job: each attempt at a step has its own.
    """
    return os.path.join(artifact_store, "zenml_azureml", "ranks", job)  # noqa: PTH118 - may be a URL


@contextmanager
def report_end(
    folder: str, rank: Rank, *, every: float = _RENEWED_EVERY_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """What runs in it is this rank's part of the step: rank 0 learns how it ends.

    Args:
        folder: Of the job's ranks.
        rank: This one; not 0.
        every: Seconds after which it says again that it runs.
        sleep: Sleeps that many seconds between two tries.
    """
    path, ended = _path(folder, rank.number), threading.Event()
    _write(path, f"{_RUNS} 0")  # in the place of what an attempt before this one has left, if it was of the same job

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
            told = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_WORDS]
            words = f"{_FAILED} on node {rank.node}: {told}"
            pauses = ()  # the process ends, which Azure ML sees anyhow
        raise
    finally:
        ended.set()
        renewing.join()
        while not _write(path, words) and pauses:
            sleep(pauses[0])
            pauses = pauses[1:]


def wait_for_others(
    folder: str,
    rank: Rank,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait on rank 0 until all others have ended, however long they run. Removes their files.

    Args:
        folder: Of the job's ranks.
        rank: This one, which knows how many there are.
        sleep: Sleeps that many seconds.
        clock: Seconds since whenever.

    Raises:
        OtherRankError: If one of them has failed.
    """
    began, pause, told = clock(), _FIRST_PAUSE_SECONDS, False
    others = [_Other(number, began) for number in range(1, rank.size - rank.servers)]
    try:
        while others := [other for other in others if not other.is_over(_read(_path(folder, other.number)), clock())]:
            if not told and clock() - began > _TOLD_AFTER_SECONDS:
                told = True
                numbers = ", ".join(f"rank {other.number}" for other in others)
                logger.info(
                    "The step has returned on rank 0. Before that is reported to ZenML, it waits for: %s.", numbers
                )
            sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
    finally:
        _remove(folder)


@dataclass
class _Other:
    """A rank that is waited for, and since when it has said nothing new."""

    number: int
    since: float
    words: str = ""

    def is_over(self, words: str, now: float) -> bool:
        """Whether it need not be waited for any more, by what its file says now.

        Raises:
            OtherRankError: If it has failed.
        """
        if words.startswith(_FAILED):
            raise OtherRankError(f"Rank {self.number} {words}")
        if words and words != self.words:
            self.words, self.since = words, now
        silent = now - self.since > _SILENT_SECONDS
        if silent:
            told = "Rank %s has said nothing for %.0f minutes, and its job goes on: it is not waited for."
            logger.warning(told, self.number, _SILENT_SECONDS / 60)
        return silent or words == _ENDED


def _path(folder: str, number: int) -> str:
    return os.path.join(folder, f"rank_{number}")  # noqa: PTH118 - may be a URL


def _write(path: str, words: str, level: int = logging.WARNING) -> bool:
    """Have a rank's file say something; False where that fails, which the log tells: the step itself goes on."""
    try:
        fileio.makedirs(os.path.dirname(path))  # noqa: PTH120 - may be a URL
        with fileio.open(path, "w") as file:
            file.write(f"{words}\n")
    except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
        logger.log(level, "What rank 0 waits for could not be written to %s: %s", path, error)
        return False
    return True


def _read(path: str) -> str:
    """What a rank's file says; empty where it cannot be read, yet."""
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
