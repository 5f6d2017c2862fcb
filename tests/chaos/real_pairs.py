"""What the schedules with real jobs are about."""

from __future__ import annotations

from tests.chaos.catalogue import SHELL

#: Every second one kills the orchestrator.
REAL_PAIRS: tuple[tuple[str, str], ...] = (
    ("job GET", "SIGINT"),
    ("job GET", "SIGKILL"),
    ("log", "SIGTERM"),
    ("log", "SIGKILL"),
    ("job GET", "rank killed"),
    ("job PUT", "SIGKILL"),
    ("details", "runs stop"),
    ("job PUT", "restarted"),
    ("cancel", "second SIGINT"),
    ("details", "SIGKILL"),
    ("job GET", "exception"),
    ("job listing", "SIGKILL"),
    ("log", "evicted"),
    ("job GET", "restarted"),
    ("job listing", "SIGINT"),
    ("secret PUT", "SIGKILL"),
    ("job GET", "cancelled in Studio"),
    ("job GET", "ended on the server"),
    ("log", "restarted"),
    ("job PUT", "SIGTERM"),
    (f"{SHELL}log", "SIGKILL"),
    (f"{SHELL}job GET", "cancelled in Studio"),
)
