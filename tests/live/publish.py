"""Adds the ids and names of new public recordings to published.json: `python -m tests.live.publish`.

Only for recordings that others have published: those of `make live` have references.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.live.known import Known
from tests.live.sanitiser import PUBLISHED, Sanitiser, published

TESTS = Path(__file__).parents[1]


class _Finder(Sanitiser):
    """Notes what would be replaced."""

    def __init__(self) -> None:
        super().__init__(Known(), b"", public=published())
        self.found: set[str] = set()

    def reference(self, kind: str, value: str) -> str:
        self.found.add(value.lower())
        return super().reference(kind, value)


def main() -> None:
    """Add what is new, and print it."""
    finder = _Finder()
    for folder in (TESTS / "parity", TESTS / "contract" / "recorded"):
        for file in sorted(folder.rglob("*.json")):
            recording: Any = json.loads(file.read_text(encoding="utf-8"))
            finder.value(recording)
    PUBLISHED.write_text(json.dumps(sorted(published() | finder.found), indent=0) + "\n", encoding="utf-8")
    print(*sorted(finder.found), sep="\n")


if __name__ == "__main__":
    main()
