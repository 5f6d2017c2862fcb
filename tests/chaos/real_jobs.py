"""What the code of a step does in a job that is a process: as a held job, but for real."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def log_and_hold() -> None:
    """Log lines, and wait to be let go, as the job's variables say."""
    lines = int(os.environ["CHAOS_LINES"])
    for number in range(1, lines + 1):
        print(f"line {number} of {lines} of {os.environ['AZUREML_RUN_ID']}", flush=True)
    while os.environ["CHAOS_HELD"] == "1" and not Path(os.environ["CHAOS_RELEASE"]).exists():
        time.sleep(0.1)
    if os.environ["CHAOS_EXIT_CODE"] != "0":
        sys.exit(int(os.environ["CHAOS_EXIT_CODE"]))
