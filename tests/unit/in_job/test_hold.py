"""The hold of a step's process: it begins with a failure of the function, and ends with its time or with a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.in_job.test_older_image import image, run
from zenml_azureml.contract.commands import prepared, unprepared
from zenml_azureml.contract.hold import (
    HELD_UNTIL,
    HOLDING_ENTRYPOINT,
    STEP_ENTRYPOINT,
    held_until,
    hold_time,
    holding_command,
)
from zenml_azureml.contract.variables import HOLD_MINUTES, STOP_CHECK_SECONDS
from zenml_azureml.in_job.hold import FailureHold

__all__ = ["image"]

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
COMMAND = ["python", "-m", "zenml.entrypoints.entrypoint", "--entrypoint_config_source", STEP_ENTRYPOINT, "--x", "1"]


class Held:
    """A hold of ten minutes on a clock that only sleeping moves."""

    def __init__(self, minutes: float = 10, *, server_answers: bool = True) -> None:
        self.now, self.announced, self.server_answers = BEGAN, list[datetime](), server_answers
        self.hold = FailureHold(timedelta(minutes=minutes), self.announce, now=lambda: self.now, sleep=self.sleep)

    def announce(self, until: datetime) -> None:
        if not self.server_answers:
            raise ConnectionError("the server is unavailable")
        self.announced.append(until)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def run(self, error: BaseException | None, of_function: bool = True) -> BaseException | None:
        handlers = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
        try:
            with self.hold.after_report():
                with self.hold.noting():
                    if error is not None and of_function:
                        raise error
                if error is not None:
                    raise error
        except BaseException as raised:  # noqa: BLE001 - what is raised is the result
            return raised
        finally:
            for number, handler in handlers:
                signal.signal(number, handler)
        return None


@pytest.mark.parametrize(
    ("error", "code"), [(ValueError("a shape does not fit"), 1), (SystemExit(3), 3), (SystemExit("no data"), 1)]
)
def test_a_failure_of_the_function_is_held_for_its_time_and_keeps_its_exit_code(
    error: BaseException, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    held = Held()

    raised = held.run(error)

    assert isinstance(raised, SystemExit)
    assert raised.code == code
    assert held.announced == [BEGAN + timedelta(minutes=10)]
    assert held.now == held.announced[0]
    log = capfd.readouterr().err
    assert (str(error.args[0]) in log) or code == 3, "the log explains the failure before the hold"
    assert log.index("is held open until 2026-01-01 00:10:00 UTC") < log.index("is over")


@pytest.mark.parametrize("error", [None, SystemExit(0), SystemExit(None), KeyboardInterrupt()])
def test_what_is_no_failure_is_not_held(error: BaseException | None) -> None:
    held = Held()

    assert held.run(error) is error
    assert (held.announced, held.now) == ([], BEGAN)


def test_a_failure_outside_of_the_function_is_not_held() -> None:
    held, error = Held(), OSError("an output cannot be stored")

    assert held.run(error, of_function=False) is error
    assert held.now == BEGAN


def test_nothing_is_held_without_the_setting_or_if_the_server_does_not_know_of_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    error = ValueError("a shape does not fit")

    said = []
    for held in (Held(0), Held(server_answers=False)):
        assert held.run(error) is error
        assert held.now == BEGAN
        said.append(capfd.readouterr().err)
    assert said == ["", "zenml-azureml: The job is not held open: the server is unavailable\n"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_hold_at_once_with_the_exit_code_of_the_failure(number: int) -> None:
    program = (
        "from datetime import timedelta\nfrom zenml_azureml.in_job.hold import FailureHold\n"
        "hold = FailureHold(timedelta(hours=1), lambda until: None)\n"
        "with hold.after_report(), hold.noting():\n    raise SystemExit(7)\n"
    )
    held = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert held.stderr is not None
    for line in held.stderr:
        if "is held open until" in line:
            break
    os.kill(held.pid, number)

    assert held.wait(60) == 7
    assert "asked to end" in held.stderr.read()
    held.stderr.close()


def test_only_zenmls_own_entrypoint_is_replaced_and_only_for_a_hold() -> None:
    held = [HOLDING_ENTRYPOINT if word == STEP_ENTRYPOINT else word for word in COMMAND]

    assert holding_command(COMMAND, {HOLD_MINUTES: "30"}) == held
    assert holding_command(COMMAND, {}) == COMMAND
    for command in (["sleep", "1"], ["python", "--entrypoint_config_source"], [*COMMAND[:4], "other.Entrypoint"]):
        assert holding_command(command, {HOLD_MINUTES: "30"}) == command


def test_the_entrypoint_is_what_zenml_runs() -> None:
    from zenml.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration as Own
    from zenml.utils.source_utils import resolve

    assert resolve(Own).import_path == STEP_ENTRYPOINT


@given(st.text() | st.floats().map(str) | st.none())
def test_any_text_is_a_time_of_hold_or_none(text: str | None) -> None:
    assert timedelta() <= hold_time({} if text is None else {HOLD_MINUTES: text})


@given(st.none() | st.text() | st.integers() | st.datetimes().map(str))
def test_what_is_not_a_time_with_its_zone_is_no_end_of_a_hold(value: object) -> None:
    assert held_until({HELD_UNTIL: value}) is None
    assert held_until({}) is None


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_the_end_of_a_hold_is_read_as_it_was_saved(until: datetime) -> None:
    assert held_until({HELD_UNTIL: until.isoformat()}) == until


def test_a_command_is_prepared_for_a_hold_and_found_again() -> None:
    line = " ".join(COMMAND)

    for variables in ({HOLD_MINUTES: "30"}, {HOLD_MINUTES: "30", STOP_CHECK_SECONDS: "60"}):
        assert prepared(line, variables) != line
        assert unprepared(prepared(line, variables)) == line
    assert prepared(line, {}) == line


def test_an_image_with_an_older_version_runs_the_step_without_a_hold(image: object) -> None:
    program = f"import os, sys; print(os.environ[{HOLD_MINUTES!r}]); sys.exit(7)"

    done = run(image, f"python -c '{program}'".replace(repr(HOLD_MINUTES), f'"{HOLD_MINUTES}"'), {HOLD_MINUTES: "30"})  # type: ignore[arg-type]

    assert (done.returncode, done.stdout, done.stderr) == (7, "30\n", "")
