"""Which end of several logs explains a failure."""

from __future__ import annotations

from zenml_azureml.workspace.log_tail import TAIL_LINES, LogTail, explaining_tail

TRACEBACK = "Traceback (most recent call last):"


def tail(*lines: str, attempt: str = "") -> LogTail:
    made = LogTail(attempt)
    for line in lines:
        made.add(line)
    return made


def test_the_last_lines_are_kept() -> None:
    lines = [str(number) for number in range(TAIL_LINES + 5)]

    assert list(tail(*lines).lines) == lines[5:]


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
