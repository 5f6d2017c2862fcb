"""Compares an emulator with recordings: `make parity [FOLDER=...]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.parity.comparison import Comparison, compare
from tests.parity.declared import DECLARED
from tests.parity.exchange import HERE, Exchange, SetupError, ask, exchanges_in


def main() -> int:
    """Print the differences of each exchange, and how many have none; 2 if a request could not be prepared."""
    options = argparse.ArgumentParser(prog="make parity", description="Compares the emulator with recordings.")
    options.add_argument("--folder", action="append", type=Path, help="folder of exchanges; by default our own")
    options.add_argument("--values", action="store_true", help="print differences of values, which do not count")
    chosen = options.parse_args()
    compared: list[Comparison] = []
    broken = 0
    found_all = exchanges_in(chosen.folder or [HERE / "recordings"])
    exchanges = [exchange for exchange in found_all if exchange.kind == "recording"]
    for exchange in exchanges:
        try:
            found = compare(exchange, ask(exchange))
        except SetupError as error:
            broken += 1
            print(f"== {_title(exchange)}: could not be asked: {error}")
            continue
        compared.append(found)
        _show(exchange, found, values=chosen.values)
    same = [found for found in compared if found.is_same]
    body_same = sum(found.is_emulated and not (found.status or found.structure) for found in compared)
    print(
        f"same {len(same)} of {len(exchanges)} (status and body's structure: {body_same}; values too: "
        f"{sum(not found.values for found in same)}; not emulated: {sum(not found.is_emulated for found in compared)}; "
        f"could not be asked: {broken})"
    )
    return 2 if broken else 0


def _title(exchange: Exchange) -> str:
    return f"{exchange.number:2} {exchange.name} ({exchange.method} {exchange.api_version})"


def _show(exchange: Exchange, found: Comparison, *, values: bool) -> None:
    verdict = "same" if found.is_same else "differs" if found.is_emulated else "not emulated"
    print(f"== {_title(exchange)}: {verdict}")
    for line in [*(found.differences if found.is_emulated else ()), *(found.values if values else ())]:
        print(f"     {line}")
    if not found.is_same and exchange.name in DECLARED:
        print(f"     declared: {DECLARED[exchange.name].reason}")


if __name__ == "__main__":
    raise SystemExit(main())
