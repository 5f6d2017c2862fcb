"""Which end of several logs explains a failure."""

from __future__ import annotations

from zenml_azureml.azure.logs.tail import LONGEST_TAIL_LINE, TAIL_LINES, LogTail, explaining_tail

TRACEBACK = "Traceback (most recent call last):"


def tail(*lines: str, attempt: str = "") -> LogTail:
    made = LogTail(attempt)
    for line in lines:
        made.add(line)
    return made


def test_the_last_lines_are_kept() -> None:
    lines = [str(number) for number in range(TAIL_LINES + 5)]

    assert list(tail(*lines).lines) == lines[5:]


def test_of_a_long_line_the_beginning_is_kept() -> None:
    (line,) = tail("x" * 1_000_000).lines

    assert line == f"{'x' * LONGEST_TAIL_LINE} ... (1000000 characters)"


def test_without_a_traceback_the_first_process_explains() -> None:
    first, second = tail("one"), tail("two")

    assert explaining_tail([tail(), first, second]) is first


def test_the_process_that_failed_first_explains() -> None:
    fine, cause, consequence = tail("fine"), tail(TRACEBACK, "cause"), tail(TRACEBACK, "consequence")

    assert explaining_tail([consequence, fine, cause]) is cause


def test_an_error_that_a_process_has_survived_does_not_explain() -> None:
    survivor = tail(TRACEBACK, "handled", *["it goes on"] * 300)
    cause = tail(TRACEBACK, "cause")

    assert explaining_tail([survivor, cause]) is cause


def test_an_earlier_attempt_does_not_explain_the_end_of_the_last() -> None:
    earlier, last = tail(TRACEBACK, "preempted", attempt="user_logs"), tail("last", attempt="user_logs/retry_001")

    assert explaining_tail([earlier, last, tail(attempt="user_logs/retry_002")]) is last


def test_nothing_explains_where_nothing_is_logged() -> None:
    assert list(explaining_tail([]).lines) == []
    assert list(explaining_tail([tail()]).lines) == []


def test_the_process_that_told_first_that_it_failed_explains_whatever_was_read_first() -> None:
    failed = "zenml-azureml: rank {0} of 3, on node {0}, failed at 2026-01-01T00:00:0{1}.000000+00:00"
    tails = [tail(failed.format(rank, second), TRACEBACK) for rank, second in ((0, 3), (1, 2), (2, 1))]

    assert explaining_tail(tails) is tails[2]
    assert explaining_tail(tails, named=tails[1]) is tails[2]  # Azure names whatever ended first


def test_a_process_that_was_killed_before_it_could_tell_explains_why_the_others_failed() -> None:
    lost = tail("zenml-azureml: rank 0 of 2, on node 0, failed at 2026-01-01T00:00:00.000000+00:00", TRACEBACK)
    killed = tail("epoch 7")

    assert explaining_tail([lost, killed], named=killed, named_was_killed=True) is killed
    assert explaining_tail([lost, killed], named=lost, named_was_killed=True) is lost


def test_the_exception_of_a_long_traceback_is_known() -> None:
    frames = ['  File "train.py", line 1, in train'] * (2 * TAIL_LINES)
    long = tail(TRACEBACK, "ValueError: first", "During handling of it:", TRACEBACK, *frames, "KeyError: 'second'", "x")

    assert long.exception == "KeyError: 'second'"
    assert tail("no traceback", "KeyError").exception == ""


def test_of_processes_that_told_nothing_the_one_that_azure_names_explains() -> None:
    tails = [tail("epoch 1", TRACEBACK), tail("epoch 1")]

    assert explaining_tail(tails, named=tails[1]) is tails[1]
