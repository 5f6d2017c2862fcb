"""Errors that a process survives are no cause of its end: what interpreters really print, captured from four versions.

`survived_errors/capture` captures it. Each program fails for want of a package, and survives another error before or
after that.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.azure.failures.classifier import FailedJob, cause_of, exception_in, without_repetition
from zenml_azureml.azure.failures.survived_errors import SurvivedErrors, without_survived_errors
from zenml_azureml.azure.logs.tail import LogTail

CAUSE = "ModuleNotFoundError: No module named 'no_such_package'"
EXITED = "Execution failed. User process 'python' exited with status code 1."


def captured() -> dict[str, list[str]]:
    """What was captured, by version and way."""
    logs: dict[str, list[str]] = {}
    for file in sorted((Path(__file__).parent / "survived_errors").glob("*.log")):
        for section in file.read_text().split("##### ")[1:]:
            way, _, text = section.partition("\n")
            logs[f"{file.stem} {way}"] = text.splitlines()
    return logs


LOGS = captured()
#: What 3.12 prints of OpenTelemetry's last words, but for its own lines.
BLOCK = LOGS["3.12 atexit-thread"][LOGS["3.12 atexit-thread"].index(CAUSE) + 1 :]


def tail_of(lines: list[str]) -> LogTail:
    tail = LogTail()
    for line in lines:
        tail.add(line)
    return tail


def test_every_way_is_captured_from_every_version() -> None:
    assert len(LOGS) == 4 * 14
    assert {name.split()[0] for name in LOGS} == {"3.10", "3.11", "3.12", "3.13"}


@pytest.mark.parametrize("name", LOGS)
def test_the_cause_is_the_error_that_ended_the_process(name: str) -> None:
    log = LOGS[name]

    assert tail_of(log).exception == CAUSE
    assert exception_in(log) == CAUSE
    assert CAUSE in cause_of(FailedJob(EXITED, "UserError", log)).what
    assert CAUSE in cause_of(FailedJob(f"{EXITED} Error: " + "\n".join(log), "UserError")).what


@pytest.mark.parametrize("name", [name for name in LOGS if not name.endswith(" thread")])
def test_nothing_but_that_error_is_shown(name: str) -> None:
    lines = [line for line in tail_of(["epoch 1", *LOGS[name]]).lines if line]

    assert lines[0] == "epoch 1"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == CAUSE
    assert len([line for line in lines if not line.startswith(" ")]) == 3


@pytest.mark.parametrize("name", [name for name in LOGS if not name.endswith(" thread")])
def test_a_process_that_only_survived_an_error_reported_none(name: str) -> None:
    survived = [line for line in LOGS[name] if line not in tail_of(LOGS[name]).lines]

    told = cause_of(FailedJob(EXITED, "UserError", ["epoch 1", *survived])).what

    assert told == "its process ended with exit code 1 and reported no error"


def test_a_thread_that_failed_explains_the_end_if_nothing_else_does() -> None:
    log = LOGS["3.12 thread"]
    of_thread = log[: log.index("ValueError: survived") + 1]

    assert tail_of(of_thread).exception == "ValueError: survived"
    main = log[len(of_thread) :]
    assert tail_of([*main, *of_thread]).exception == CAUSE  # in either order
    assert tail_of([*of_thread, *main]).exception == CAUSE


def test_a_later_error_of_the_main_thread_takes_the_place_of_an_earlier_one() -> None:
    later = ["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'later'"]

    assert tail_of([*LOGS["3.12 thread"], *later]).exception == "KeyError: 'later'"


def test_words_that_name_a_cause_count_only_outside_of_such_accounts() -> None:
    block = [*BLOCK[:-1], "RuntimeError: CUDA out of memory"]

    told = cause_of(FailedJob(EXITED, "UserError", [*block])).what
    assert "memory" not in told
    assert "memory" in cause_of(FailedJob(EXITED, "UserError", ["RuntimeError: CUDA out of memory"])).what


def test_what_azure_repeats_of_such_accounts_is_not_shown() -> None:
    azure, shown = without_repetition(f"{EXITED} Error: " + "\n".join(["epoch 1", *BLOCK]), ["epoch 1"])

    assert azure == EXITED
    assert shown == ("epoch 1",)


CHAINED = [
    "Exception ignored in: <function Pool.__del__ at 0x7f2992386>",
    "Traceback (most recent call last):",
    '  File "pool.py", line 1, in __del__',
    "KeyError: 'first'",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    "Traceback (most recent call last):",
    '  File "pool.py", line 2, in __del__',
    "ValueError: second",
]


@pytest.mark.parametrize(
    "heading",
    [
        "Exception ignored in: <function Pool.__del__ at 0x7f2992386>",
        "Exception ignored while calling deallocator <function Pool.__del__>:",
        "Exception ignored on calling ctypes callback function: <function f at 0x7f>",
        "Exception ignored when trying to write to the signal wakeup fd:",
        "Error in atexit._run_exitfuncs:",
    ],
)
def test_a_chain_of_errors_is_one_account(heading: str) -> None:
    assert list(without_survived_errors(["before", heading, *CHAINED[1:], "after"])) == ["before", "after"]


def test_an_account_that_is_cut_off_does_not_hide_the_error_behind_it() -> None:
    error = ["Traceback (most recent call last):", '  File "a.py", line 1', CAUSE]

    assert tail_of([*BLOCK[:3], *error]).exception == CAUSE
    assert tail_of([*BLOCK[:1], "another line", *error]).exception == CAUSE


@given(
    st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=40), max_size=10),
    st.sampled_from(sorted(set(LOGS))),
)
def test_other_lines_stay(lines: list[str], name: str) -> None:
    plain = [f"line {line}" for line in lines]
    survived = SurvivedErrors()

    assert [line for line in [*plain, *BLOCK, *plain] if not survived.includes(line)] == plain * 2
    assert set(plain) <= set(without_survived_errors([*plain, *LOGS[name], *plain]))
