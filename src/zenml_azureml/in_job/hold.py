"""Holds a job after the failure of its step's function, so that its user can look into it. Standard library only.

ZenML has reported the failure before. The step's process keeps its container: files, GPUs, data. It ends by itself
after the time of the hold, and at once if Azure ML cancels the job.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta, timezone
from types import FrameType
from typing import NoReturn

from zenml_azureml.in_job.rank import has_failed

#: Longest time between two looks at the clock: that of a suspended machine may jump.
_LOOK_SECONDS = 30.0

_ENDING = (signal.SIGTERM, signal.SIGINT)


class _Released(BaseException):
    """A signal has ended the hold."""


class FailureHold:
    """The hold of one step's process.

    Args:
        duration: The time of the hold; zero for none.
        announce: Saves the end of the hold on ZenML's server. If it raises, there is no hold: the client would not
            know of it.
        during: What is kept during the hold; yields a sentence about it for the log. None for nothing.
        now: The time.
        sleep: Sleeps that many seconds.
    """

    def __init__(
        self,
        duration: timedelta,
        announce: Callable[[datetime], None],
        during: Callable[[], AbstractContextManager[str]] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._duration = duration
        self._announce = announce
        self._during = during or (lambda: nullcontext(""))
        self._now = now
        self._sleep = sleep
        self._until: datetime | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Announce the hold if the enclosed code, which is the step's function, fails."""
        try:
            yield
        except BaseException as error:
            if self._duration and _is_failure(error):
                until = self._now() + self._duration
                try:
                    self._announce(until)
                except Exception as reason:  # noqa: BLE001 - the failure itself is worth more
                    _say(f"The job is not held open: {reason}")
                else:
                    self._until = until
            raise

    @contextmanager
    def after_report(self) -> Iterator[None]:
        """Hold the job if the step's function has failed within the enclosed code, which also reports that to ZenML.

        Raises:
            SystemExit: After the hold, with the exit code of the failure.
        """
        try:
            yield
        except BaseException as error:
            if self._until is None or not _is_failure(error):
                raise
            self._hold(error, self._until)

    def _hold(self, error: BaseException, until: datetime) -> NoReturn:
        code = _show(error)
        with self._during() as said:
            if said:
                _say(said)
            hold_until(until, now=self._now, sleep=self._sleep)
        raise SystemExit(code) from None


def hold_until(
    until: datetime,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return at a time, or at once after SIGTERM or SIGINT.

    Args:
        until: The time.
        now: The time at the call.
        sleep: Sleeps that many seconds.
    """
    with suppress(_Released):
        for number in _ENDING:
            signal.signal(number, _release)
        _say(f"The step has failed. Its job is held open until {until:%Y-%m-%d %H:%M:%S} UTC.")
        while (left := (until - now()).total_seconds()) > 0:
            sleep(min(left, _LOOK_SECONDS))
        _say("The time for which the job was held open is over.")
        return
    _say("The job is no longer held open: it was asked to end.")


def _release(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _ENDING:  # a second signal must not interrupt the end
        signal.signal(number, signal.SIG_IGN)
    raise _Released


def _is_failure(error: BaseException) -> bool:
    """True for a failure of the step's code; an interruption comes from outside, and asks the process to end."""
    return has_failed(error) and not isinstance(error, (KeyboardInterrupt, GeneratorExit))


def _show(error: BaseException) -> int:
    """Show an uncaught exception now, as Python does at the end of the process; return the exit code."""
    if isinstance(error, SystemExit):
        if isinstance(error.code, int):
            return error.code
        print(error.code, file=sys.stderr, flush=True)  # noqa: T201 - as Python does
        return 1
    sys.stdout.flush()
    sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    return 1


def _say(words: str) -> None:
    print(f"zenml-azureml: {words}", file=sys.stderr, flush=True)  # noqa: T201 - the job's log
