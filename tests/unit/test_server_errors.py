"""Which errors of ZenML's client mean that its server is unavailable: real answers, real databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import requests
import sqlalchemy
from sqlalchemy.pool import QueuePool
from zenml.exceptions import IllegalOperationError, RunInterruptedException, RunStoppedException, ValidationError
from zenml.zen_stores.rest_zen_store import RestZenStore

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.server_errors import describe, is_unavailable


def answered(status: int, body: bytes = b'{"detail": "words"}') -> Exception:
    """The error that ZenML's client makes of an answer."""
    answer = requests.Response()
    answer.status_code, answer._content = status, body
    try:
        RestZenStore._handle_response(answer)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError(status)


@pytest.mark.parametrize("status", [401, 408, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b'{"detail": "words"}', b"<html>Bad gateway</html>", b""])
def test_an_answer_that_may_be_another_the_next_time_means_unavailable(status: int, body: bytes) -> None:
    assert is_unavailable(answered(status, body))


@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 409, 413, 418, 422, 501])
@pytest.mark.parametrize("body", [b'{"detail": "words"}', b"<html>Not found</html>", b""])
def test_a_refusal_is_not_retried(status: int, body: bytes) -> None:
    assert not is_unavailable(answered(status, body))


def test_a_page_in_the_place_of_json_means_unavailable() -> None:
    assert is_unavailable(answered(200, b"<html>Please sign in to the network</html>"))


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("Connection refused"),
        requests.exceptions.ReadTimeout("Read timed out."),
        requests.exceptions.ConnectTimeout("Timed out."),
        requests.exceptions.ProxyError("No route."),
        requests.exceptions.RetryError("too many 503 error responses"),
        requests.exceptions.ChunkedEncodingError("Connection broken"),
        ConnectionResetError("reset"),
        TimeoutError("timed out"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_network_that_fails_means_unavailable(error: Exception) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("No such step run"),
        IllegalOperationError("The step run has ended."),
        ValidationError("invalid"),
        ValueError("invalid"),
        TypeError("a fault of ours"),
        NotImplementedError("no such operation"),
        RecursionError("too deep"),
        AzureMLError("Azure refuses."),
        RunStoppedException("stopped"),
        RunInterruptedException("interrupted"),
        KeyboardInterrupt(),
        requests.exceptions.InvalidURL("no URL"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_stays_as_it_is_is_not_retried(error: BaseException) -> None:
    assert not is_unavailable(error)


def test_a_locked_database_means_unavailable_and_one_without_the_table_does_not(tmp_path: Path) -> None:
    path = tmp_path / "zenml.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE step_run (id)")
    connection.close()
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(sqlalchemy.exc.OperationalError) as locked, engine.begin() as mine:
            mine.execute(sqlalchemy.text("INSERT INTO step_run VALUES (1)"))
    finally:
        other.close()
    with pytest.raises(sqlalchemy.exc.OperationalError) as missing, engine.begin() as mine:
        mine.execute(sqlalchemy.text("INSERT INTO no_such_table VALUES (1)"))
    engine.dispose()

    assert is_unavailable(locked.value)
    assert not is_unavailable(missing.value)


def test_an_exhausted_pool_of_connections_means_unavailable(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(
        f"sqlite:///{tmp_path / 'zenml.db'}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with engine.connect(), pytest.raises(sqlalchemy.exc.TimeoutError) as exhausted:
        engine.connect()
    engine.dispose()

    assert is_unavailable(exhausted.value)


@pytest.mark.parametrize(("code", "unavailable"), [(2006, True), (2013, True), (1205, True), (1054, False)])
def test_errors_of_mysql_are_told_apart_by_their_code(code: int, unavailable: bool) -> None:
    original = type("OperationalError", (Exception,), {"__module__": "pymysql.err"})(code, "words")

    assert is_unavailable(sqlalchemy.exc.OperationalError("UPDATE", {}, original)) is unavailable


def test_a_connection_that_the_database_has_closed_means_unavailable() -> None:
    error = sqlalchemy.exc.DBAPIError("UPDATE", {}, Exception("words"), connection_invalidated=True)

    assert is_unavailable(error)


def test_an_error_is_described_in_one_short_line() -> None:
    assert describe(ValueError("a\n  b")) == "a b"
    assert describe(ValueError()) == "ValueError()"
    assert describe(ValueError("x" * 300)) == "x" * 300
    assert describe(ValueError("x" * 301)) == "x" * 300 + "..."
