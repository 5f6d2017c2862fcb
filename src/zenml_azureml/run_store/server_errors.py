"""Decides which errors of ZenML's client mean that its server, or the database in its place, is unavailable. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import one_line

#: ZenML's client raises these for 401, 429, 500, 502 and 503. By name: some are not in every version of ZenML.
_UNAVAILABLE = frozenset(
    {
        "AuthorizationException",  # an expired session, until the user logs in again
        "CredentialsNotValid",
        "EntityCreationError",
        "LogStoreError",
        "LogStoreRateLimitError",
        "MaxConcurrentTasksError",
    }
)

#: Errors of `requests`: the network, a proxy, a truncated answer, or a request that ZenML's client retried in vain.
_NETWORK = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.RetryError,
    ConnectionError,
    TimeoutError,
)

#: ZenML's client raises a plain RuntimeError for all other answers, with this text for refusals.
#: 408 and 425 ask for a retry.
_REFUSAL = re.compile(r"4(?!08|25)\d\d HTTP Error received from server")

#: ZenML's client raises a ValueError for an answer that is no JSON, such as the page of a proxy.
_NO_JSON = "Bad response from API. Expected json"

#: MySQL's error codes for: too many connections, shutdown, lock wait timeout, deadlock, no connection.
#: Source: https://dev.mysql.com/doc/mysql-errors/8.0/en/
_MYSQL_CODES = frozenset({1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013})


def is_unavailable(error: BaseException) -> bool:
    """Return True if an error of ZenML's client may pass by itself, or when the user logs in again.

    Connection errors, time-outs, 401, 429, 5xx and a locked database may pass. A missing object (404), an operation
    that the server refuses (403) and invalid data (400, 422) do not.

    Args:
        error: The error that ZenML's client raised.
    """
    if isinstance(error, AzureMLError):
        return False
    if isinstance(error, _NETWORK) or any(kind.__name__ in _UNAVAILABLE for kind in type(error).__mro__):
        return True
    if _is_database_error(error):
        return _is_busy(error)
    if type(error) is ValueError:
        return str(error).startswith(_NO_JSON)
    # A 500 of the server. Subclasses are errors of other kinds, such as NotImplementedError for 501.
    return type(error) is RuntimeError and _REFUSAL.match(str(error)) is None


def describe(error: BaseException) -> str:
    """Return an error in one line of limited length."""
    words = one_line(str(error)) or repr(error)
    return words if len(words) <= 300 else f"{words[:300]}..."


def _is_database_error(error: BaseException) -> bool:
    # SQLAlchemy is not installed if ZenML is only a client of a server.
    return any(
        kind.__module__.partition(".")[0] in ("sqlalchemy", "sqlite3", "pymysql") for kind in type(error).__mro__
    )


def _is_busy(error: BaseException) -> bool:
    for cause in _with_original(error):
        if getattr(cause, "connection_invalidated", False) or type(cause).__name__ == "TimeoutError":
            return True  # the database has closed the connection; the pool of connections is exhausted
        code = cause.args[0] if cause.args else None
        if code in _MYSQL_CODES or re.search(r"database (?:\w+ )?is (?:locked|busy)", str(cause)):
            return True
    return False


def _with_original(error: BaseException) -> Iterator[BaseException]:
    """Yield an error of SQLAlchemy, and the database's error which it wraps."""
    yield error
    original = getattr(error, "orig", None)
    if isinstance(original, BaseException):
        yield original
