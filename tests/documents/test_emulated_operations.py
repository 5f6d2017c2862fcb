"""The list of what the emulator has is made from its routes and the recordings."""

from __future__ import annotations

from scripts import emulated_operations, parity_numbers

from tests.parity.exchange import HERE, exchanges_in


def test_the_table_of_operations_is_up_to_date() -> None:
    page = emulated_operations.PAGE.read_text(encoding="utf-8")

    assert emulated_operations.with_table(page) == page, "run: .venv/bin/python -m scripts.emulated_operations"


def test_a_recorded_operation_that_is_emulated_is_found() -> None:
    (operation,) = [one for one in emulated_operations.operations() if (one.method, one.path) == ("PUT", "jobs/{job}")]
    (exchange,) = [one for one in exchanges_in([HERE / "more"]) if one.name == "job_put_2026"]

    assert operation.pattern.fullmatch(exchange.path.partition("?")[0])


def test_the_numbers_of_parity_are_up_to_date() -> None:
    page = parity_numbers.PAGE.read_text(encoding="utf-8")

    assert parity_numbers.with_numbers(page) == page, "run: .venv/bin/python -m scripts.parity_numbers"
