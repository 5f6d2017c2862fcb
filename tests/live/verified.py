"""The dates on which tests have passed on Azure, with the operations that they have used: verified.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "verified.json"


def updated(before: dict[str, Any], passed: Iterable[str], used: dict[str, set[str]], today: date) -> dict[str, Any]:
    """Return the contents with the results of a run.

    Args:
        before: The contents.
        passed: The tests that have passed.
        used: Operations (`PUT jobs/{job}`) by test.
        today: The date.
    """
    found = dict(before)
    for test in passed:
        if used.get(test):
            found[test] = {"date": today.isoformat(), "operations": sorted(used[test])}
    return dict(sorted(found.items()))


def read(file: Path = FILE) -> dict[str, Any]:
    """Return the contents of the file."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def write(contents: dict[str, Any], file: Path = FILE) -> None:
    """Write the file."""
    file.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
