"""Retries of requests to ZenML's server while it is unavailable.

Functions that need the server pass their request to `ask`. The methods that ZenML calls set the time for retries with
`retrying`; without that, `ask` makes one attempt.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from zenml.exceptions import RunStoppedException
from zenml.logger import get_logger

from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.retry_loop import backoff, retry
from zenml_azureml.run_store.fork_gate import begin_request
from zenml_azureml.run_store.server_errors import describe, is_unavailable

logger = get_logger(__name__)

T = TypeVar("T")

#: Time for which requests are retried after an interruption, so that the process ends soon.
AFTER_INTERRUPTION = timedelta(seconds=10)

#: Seconds between two checks for a signal while a request is under way.
_CHECK_INTERVAL = 0.5

#: Longest pause between two attempts. ZenML's client has already repeated a request before it fails.
_LONGEST_PAUSE = 10.0

#: Seconds for which a request may go without an answer once the time for retries is over.
_LAST_ATTEMPT = 10.0

#: Ends what it is called from by raising.
Check = Callable[[], None]


class ServerUnavailableError(AzureMLError, RunStoppedException):
    """ZenML's server was unavailable for as long as a step's settings allow.

    It is a `RunStoppedException` because of ZenML's reaction to any other exception. ZenML would make requests to the
    server, which fail and hide this error behind further tracebacks. It would also retry the step, without a record of
    the retry on the server.
    """

    explained: bool = False

    def explaining(self, account: AzureMLError, command: str) -> ServerUnavailableError:
        """Return an error with the unpublished end of the step, and the command that publishes it.

        Args:
            account: The error that could not be published, such as the reason why a step failed.
            command: The command that publishes it.
        """
        if self.explained:
            return self
        error = ServerUnavailableError(
            f"{account}\n{self.summary.removesuffix('.')}. The server does not know how the step ended. "
            f"When it is available again, run:\n  {command}"
        )
        error.summary, error.azure_message, error.hint = account.summary, account.azure_message, command
        error.explained = True
        return error


class ServerRetries:
    """The time for which requests to ZenML's server are retried, one after the other, and what ends that early.

    Requests that fail in a row share it. Not thread-safe: for one thread, or one thread at a time.

    Args:
        timeout: The time.
        time: The clock.
        check: Ends a request, and the retries, by raising; is called often and must return at once.
        check_stopped: Ends the retries by raising; is called before each of them and may ask the server.
    """

    def __init__(
        self,
        timeout: timedelta,
        time: Time = SYSTEM_TIME,
        check: Check = lambda: None,
        check_stopped: Check = lambda: None,
    ) -> None:
        self._timeout = timeout
        self._time = time
        self._check = check
        self._check_stopped = check_stopped
        self._unavailable_since: float | None = None
        self._last_error: BaseException | None = None

    @property
    def failing(self) -> bool:
        """True if the last request has failed, or is being retried."""
        return self._unavailable_since is not None

    def run(self, action: str, request: Callable[[], T]) -> T:
        """Make a request, and make it again while the server is unavailable.

        Args:
            action: Description of the request, such as `saving the job`.
            request: Makes it; may be repeated after any failure.

        Raises:
            ServerUnavailableError: If the server is still unavailable when the time is over.
            Exception: Any other error of the request, and what the checks raise.
        """
        began = self._time.monotonic() if self._unavailable_since is None else self._unavailable_since
        deadline = began + self._timeout.total_seconds()

        def attempt() -> T:
            return self._bounded(self._repeated(request) if self.failing else request, deadline)

        def warn(error: BaseException) -> None:
            minutes = self._timeout.total_seconds() / 60
            logger.warning(
                "ZenML's server is unavailable (%s). Retrying for %g minutes: %s", action, minutes, describe(error)
            )

        def is_transient(error: BaseException) -> bool:
            unavailable = is_unavailable(error)
            if unavailable:
                self._unavailable_since, self._last_error = began, error
            return unavailable

        try:
            result = retry(
                attempt,
                is_transient=is_transient,
                pause_after=_pause_after,
                deadline=deadline,
                time=self._time,
                sleep=self._sleep,
                on_first_failure=warn,
            )
        except Exception as error:
            if not is_unavailable(error):
                raise
            minutes = self._timeout.total_seconds() / 60
            raise ServerUnavailableError(
                f"ZenML's server was unavailable for {minutes:g} minutes ({action}): {describe(error)}"
            ) from None
        self._unavailable_since = self._last_error = None
        return result

    def _repeated(self, request: Callable[[], T]) -> Callable[[], T]:
        def work() -> T:
            self._check_stopped()
            return request()

        return work

    def _sleep(self, seconds: float) -> None:
        until = self._time.monotonic() + seconds
        while (left := until - self._time.monotonic()) > 0:
            self._time.sleep(min(left, _CHECK_INTERVAL))
            self._check()

    def _bounded(self, work: Callable[[], T], deadline: float) -> T:
        """Call a function on a separate thread, which is abandoned if the checks raise or the deadline passes."""
        outcome, done = begin_request(work)
        latest = max(deadline, self._time.monotonic() + _LAST_ATTEMPT)
        while not self._time.wait(done, _CHECK_INTERVAL):
            self._check()
            if self._time.monotonic() >= latest:
                # The last error of the server, if there was one, explains more than this time-out.
                raise self._last_error or TimeoutError("The server has not answered.")
        return outcome.result()


_RETRIES: contextvars.ContextVar[ServerRetries | None] = contextvars.ContextVar("zenml_azureml_retries", default=None)


@contextmanager
def retrying(retries: ServerRetries | None) -> Iterator[None]:
    """Retry requests to ZenML's server inside a `with`, on this thread.

    Args:
        retries: The limits of the retries; None for a single attempt.
    """
    token = _RETRIES.set(retries)
    try:
        yield
    finally:
        _RETRIES.reset(token)


def ask(action: str, request: Callable[[], T]) -> T:
    """Make a request to ZenML's server, with the retries that are in force.

    Args:
        action: Description of the request, such as `saving the job`.
        request: Makes it; may be repeated after any failure.

    Raises:
        ServerUnavailableError: If the server is still unavailable when the time for retries is over.
        Exception: Any other error of the request.
    """
    retries = _RETRIES.get()
    return request() if retries is None else retries.run(action, request)


def ask_or(otherwise: T, action: str, request: Callable[[], T]) -> T:
    """Make a request to ZenML's server, and return another answer if it fails.

    Args:
        otherwise: The answer then.
        action: Description of the request, such as `looking up the steps that have ended`.
        request: Makes it.
    """
    try:
        return request()
    except Exception as error:  # noqa: BLE001 - the caller has an answer for every error
        logger.debug("A request to ZenML's server failed (%s): %s", action, error)
        return otherwise


def _pause_after(_error: BaseException, failures: int) -> float:
    return backoff(failures, _LONGEST_PAUSE)
