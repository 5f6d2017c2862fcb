"""The emulator answers as Azure ML did: each recording, as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.parity.comparison import compare
from tests.parity.declared import DECLARED
from tests.parity.exchange import FOLDERS, Exchange, ask, exchanges_in

ALL = exchanges_in(FOLDERS)
EXCHANGES = [found for found in ALL if found.kind == "recording"]
#: Excerpts, quotations and Microsoft's examples, which are compared as far as they go.
PARTS = [found for found in ALL if found.is_partial]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_the_emulator_answers_as_recorded(exchange: Exchange) -> None:
    check(exchange)


@pytest.mark.parametrize("exchange", PARTS, ids=lambda exchange: exchange.name)
def test_the_emulator_answers_as_quoted_or_described_as_far_as_that_goes(exchange: Exchange) -> None:
    check(exchange)


def check(exchange: Exchange) -> None:
    found = compare(exchange, ask(exchange))

    if exchange.name in DECLARED:
        assert DECLARED[exchange.name].unexpected(found.differences) == []
    else:
        assert found.differences == []


def test_each_declared_difference_is_about_an_exchange() -> None:
    assert DECLARED.keys() <= {exchange.name for exchange in ALL}


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return next(found for found in EXCHANGES if found.name == "job_put_serverless_2026")


@pytest.mark.parametrize(
    "change",
    [
        "a key is missing",
        "a key too many",
        "null instead of absent",
        "another type",
        "another order",
        "another status",
        "a header is missing",
        "a header too many",
        "another address",
    ],
)
def test_a_difference_is_found(exchange: Exchange, change: str) -> None:
    """Change the recording instead of the emulator: a comparison that finds nothing would pass everything."""
    properties = exchange.body["properties"]
    headers = exchange.headers
    status = exchange.status
    if change == "a key is missing":
        properties = {**properties, "novelty": 1}
    elif change == "a key too many":
        properties = {key: value for key, value in properties.items() if key != "command"}
    elif change == "null instead of absent":
        properties = {key: value for key, value in properties.items() if key != "codeId"}
    elif change == "another type":
        properties = {**properties, "isArchived": "false"}
    elif change == "another order":
        properties = dict(reversed(properties.items()))
    elif change == "another status":
        status = 200
    elif change == "a header is missing":
        headers = {**headers, "retry-after": "10"}
    elif change == "a header too many":
        headers = {key: value for key, value in headers.items() if key != "location"}
    else:
        headers = {**headers, "location": headers["location"].replace("/jobs/", "/runs/")}
    changed = replace(exchange, status=status, headers=headers, body={**exchange.body, "properties": properties})

    assert len(compare(changed, ask(exchange)).differences) == 1
