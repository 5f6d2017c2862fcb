"""Tests that failed, run once more: `python -m scripts.repeat_failed NAMES`, after a run of pytest.

A test with real processes can lose a race that only a busy machine opens. One that passes when it runs alone does not
fail CI, but its name is added to the file NAMES, and from there to docs/testing.md. One that fails twice fails CI.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: What pytest keeps of its last run.
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")

#: So many tests may fail and be repeated. More have a cause in common.
MOST = 5


def main() -> int:
    """Repeat the failed tests; 0 if they pass."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        print(f"{len(failed)} tests have failed; from 1 to {MOST} would be repeated.")
        return 1
    print("Repeating, one by one:", *failed, sep="\n  ", flush=True)
    if any(_run(test) for test in failed):
        return 1
    with Path(sys.argv[1]).open("a") as names:
        names.writelines(f"{test}\n" for test in failed)
    return 0


def _run(test: str) -> int:
    command: Sequence[str] = (sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "--timeout", "900", test)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
