"""Rank 0 reports a step's end when all ranks have ended: how it learns of that, through files in the artifact store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zenml_azureml.in_job import rank_barrier
from zenml_azureml.in_job.rank import OtherRankError, Rank
from zenml_azureml.in_job.rank_barrier import (
    folder_of,
    forget_failure,
    rank_zero_fails,
    remove_reports,
    report_end,
    report_failure,
    wait_for_others,
)


def rank(number: int, size: int = 3, servers: int = 0) -> Rank:
    return Rank(number, size, number, "RANK", servers)


class Time:
    """Time that passes where somebody sleeps, and what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return folder_of(str(tmp_path), "zenml-1")


def end(folder: str, number: int, error: BaseException | None = None) -> None:
    with report_end(folder, rank(number)):
        if error is not None:
            raise error


def test_rank_0_goes_on_when_all_others_have_ended_and_nothing_is_left(folder: str, tmp_path: Path) -> None:
    release = threading.Event()

    def last() -> None:
        with report_end(folder, rank(2)):
            release.wait(30)

    others = [threading.Thread(target=end, args=(folder, 1)), threading.Thread(target=last)]
    waiting = threading.Thread(target=wait_for_others, args=(folder, rank(0)))
    for thread in (*others, waiting):
        thread.start()
    waiting.join(1.5)
    assert waiting.is_alive()

    release.set()

    waiting.join(30)
    assert not waiting.is_alive()
    assert list((tmp_path / "zenml_azureml" / "ranks").iterdir()) == []


def test_a_rank_that_failed_fails_rank_0_with_its_words(folder: str) -> None:
    end(folder, 1)
    with pytest.raises(ValueError, match="no such sample"):
        end(folder, 2, ValueError("no such sample:\n17"))

    with pytest.raises(OtherRankError, match=r"^Rank 2 failed on node 2: ValueError: no such sample: 17$"):
        wait_for_others(folder, rank(0))


@pytest.mark.parametrize(("code", "fails"), [(0, False), (None, False), (3, True)])
def test_a_rank_that_exits_fails_by_its_exit_code(folder: str, code: int | None, fails: bool) -> None:
    with pytest.raises(SystemExit):
        end(folder, 1, SystemExit(code))
    if fails:
        with pytest.raises(OtherRankError, match="SystemExit: 3"):
            wait_for_others(folder, rank(0, size=2))
    else:
        wait_for_others(folder, rank(0, size=2))


def test_a_rank_that_runs_is_waited_for_as_long_as_it_says_so(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    time = Time()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.now > 100_000:
            end(folder, 1)
        else:  # as its thread does
            rank_barrier._write(rank_barrier._path(folder, 1), f"runs {time.now}")

    wait_for_others(folder, rank(0, size=2), sleep=sleep, clock=time.clock)

    assert time.now > 100_000
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == "The step has returned on rank 0; waiting for other ranks before reporting to ZenML: rank 1"


def test_a_rank_says_again_and_again_that_it_runs(folder: str) -> None:
    file = Path(folder) / "rank_1"
    seen: set[str] = set()
    with report_end(folder, rank(1), every=0.01):
        while len(seen) < 4:
            seen.add(file.read_text())

    assert file.read_text() == "ended\n"


def test_a_rank_never_says_that_it_runs_after_it_has_ended(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write, before = rank_barrier._write, set(threading.enumerate())
    writes = threading.Event()

    def write_slowly(path: str, words: str, *level: int) -> bool:
        if words == "runs 1":
            writes.set()
            time.sleep(0.2)  # as a store takes
        return write(path, words, *level)

    monkeypatch.setattr(rank_barrier, "_write", write_slowly)
    with report_end(folder, rank(1), every=0.01):
        assert writes.wait(60)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)

    assert (Path(folder) / "rank_1").read_text() == "ended\n"


@pytest.mark.parametrize("began", [True, False])
def test_a_rank_that_is_silent_for_long_is_not_waited_for(
    folder: str, caplog: pytest.LogCaptureFixture, began: bool
) -> None:
    time = Time()
    if began:  # and ended as `os._exit(0)` does
        rank_barrier._write(rank_barrier._path(folder, 1), "runs 3")

    wait_for_others(folder, rank(0, size=2), sleep=time.sleep, clock=time.clock)

    assert 600 < time.now < 660
    assert "No report from rank 1 for 10 minutes; no longer waiting for it" in caplog.text


def test_parameter_servers_never_end_and_are_not_waited_for(folder: str) -> None:
    end(folder, 1)

    wait_for_others(folder, rank(0, size=3, servers=1))


def test_what_an_attempt_before_has_left_does_not_count_once_a_rank_has_begun(folder: str) -> None:
    end(folder, 1)
    with report_end(folder, rank(1)):
        assert (Path(folder) / "rank_1").read_text() == "runs 0\n"


def test_a_file_that_is_only_half_there_says_nothing(folder: str) -> None:
    Path(folder).mkdir(parents=True)
    (Path(folder) / "rank_1").write_text("ended")
    time = Time()

    wait_for_others(folder, rank(0, size=2), sleep=time.sleep, clock=time.clock)

    assert time.now > 600


def test_a_store_that_cannot_be_written_to_does_not_fail_a_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    slept: list[float] = []

    with report_end(str(tmp_path / "file" / "ranks"), rank(1), sleep=slept.append):
        pass

    assert slept == [1, 2, 4, 8]
    assert "Could not write the report for rank 0 to" in caplog.text


def test_a_file_has_no_more_of_an_error_than_one_line_can_tell(folder: str) -> None:
    with pytest.raises(ValueError, match="x"):
        end(folder, 1, ValueError("x\n" * 10_000))

    assert len((Path(folder) / "rank_1").read_text()) < 600


def test_the_other_ranks_see_if_rank_0_fails_within_seconds(folder: str) -> None:
    time = Time()
    assert not rank_zero_fails(folder, sleep=time.sleep)
    assert time.now == 20

    report_failure(folder, rank(0))
    assert rank_zero_fails(folder, sleep=time.sleep)
    assert time.now == 20, "it did not wait"
    with pytest.raises(OtherRankError, match=r"^Rank 0 failed on node 0$"):
        rank_barrier._Other(0, 0).is_over((Path(folder) / "rank_0").read_text().strip(), 0)


@pytest.mark.parametrize("forget", [lambda folder: forget_failure(folder, rank(0)), remove_reports])
def test_a_failure_of_rank_0_does_not_count_in_a_later_attempt(folder: str, forget: Callable[[str], None]) -> None:
    report_failure(folder, rank(0))

    forget(folder)

    assert not rank_zero_fails(folder, sleep=Time().sleep)
