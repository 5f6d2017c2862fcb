"""What became of the SDK's tests, from what pytest reports: pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_OPERATION = re.compile(r"(?:The operation )?([^\"]+?) is not emulated\.")
_BLOB = re.compile(r"^(\w+) /\w+\.(\w+)\.core\.windows\.net/\S*")
_FILE = re.compile(r"test_configs/[\w./-]*\w")
_MISSING = re.compile(r"No such file|[Cc]an(?:'t|not) find|does not exist|not found|FileNotFoundError")
_ERROR = re.compile(r"^E\s+(\S.*)$", re.MULTILINE)

PASSED, NOT_SERVED, NEEDS_FILE, SKIPPED, FAILED = "passed", "not served", "needs a file", "skipped upstream", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a test.

    Attributes:
        folder: Folder of the test, e.g. `compute`.
        name: Name of the test.
        kind: One of the five above.
        detail: The operation, the file, or the first line of the error; empty if it passed.
        is_extra: True if the SDK always skips the test, which was run all the same.
    """

    folder: str
    name: str
    kind: str
    detail: str = ""
    is_extra: bool = False


def outcome_of(report: Mapping[str, Any]) -> Outcome:
    """Return what became of one test."""
    return replace(_outcome_of(report), is_extra=report.get("skipped") is not None)


def _outcome_of(report: Mapping[str, Any]) -> Outcome:
    folder = report["test"].removeprefix("tests/").partition("/")[0]
    name = report["test"].rpartition("::")[2]
    text = report["text"]
    if report["outcome"] != "skipped" and report["not_served"]:
        # Also if it passed: a test that expects any error passes without the operation.
        return Outcome(folder, name, NOT_SERVED, _operation(report["not_served"]))
    if report["outcome"] == "passed":
        return Outcome(folder, name, PASSED)
    if report["outcome"] == "skipped":
        return Outcome(folder, name, SKIPPED, text.removeprefix("Skipped: "))
    missing = [line for line in text.splitlines() if _MISSING.search(line) and _FILE.search(line)]
    if missing:
        return Outcome(folder, name, NEEDS_FILE, _FILE.findall(missing[-1])[-1])
    errors = _ERROR.findall(text)
    return Outcome(folder, name, FAILED, errors[0] if errors else text.strip().rpartition("\n")[2])


def _operation(message: str) -> str:
    found = _OPERATION.search(message)
    return _BLOB.sub(r"\1 of a \2 of storage", found[1] if found else message)


def counts(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return the number of each kind, without those that were skipped, and `of`: their sum."""
    found = Counter(outcome.kind for outcome in outcomes if outcome.kind != SKIPPED)
    found["of"] = sum(found.values())
    return found
