"""The benchmarks of docs/performance.md, in a quick run: they work, and count the right things."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2]


def test_a_quick_run_counts_the_requests_of_a_submit_of_both_operators() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "submit"]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\| requests per submit, steady state \| 3 \| 1 \| 1 \| met \|", done.stdout), done.stdout
