"""The line at the end of a test run that says how it went, for targets that may have to skip all of their tests."""

from __future__ import annotations

import pytest


def write_summary_line(target: str, reporter: pytest.TerminalReporter) -> None:
    """Write `TARGET: PASS 3`, `TARGET: SKIPPED reason` or `TARGET: FAIL`.

    Args:
        target: The one of the Makefile.
        reporter: Has seen all tests.
    """
    stats = reporter.stats
    passed, skipped = stats.get("passed", []), stats.get("skipped", [])
    if stats.get("failed") or stats.get("error") or not (passed or skipped):
        line = "FAIL"
    elif skipped:  # for want of what the target is about: nothing else skips there
        line = f"SKIPPED {skipped[0].longrepr[2].removeprefix('Skipped: ')}"
    else:
        line = f"PASS {len(passed)}"
    reporter.write_line(f"{target}: {line}")
